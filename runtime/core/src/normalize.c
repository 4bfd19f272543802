/* Code points to words.
 *
 * The order of the steps is the oracle's: clean, put spaces around ideographs, decompose (NFD), drop marks, lower-case,
 * split. Nothing but the word is kept, so a text of any length takes the same memory.
 *
 * Which bytes of the text a code point comes from follows the oracle too, also where that is odd: when decomposition
 * reorders a run of combining marks, the marks change places but their offsets do not. The n-th mark of the sorted run
 * has the offsets of the n-th mark of the text.
 */
#include "normalize.h"

#include "unicode.h"

typedef struct source {
    const uint8_t *text;
    size_t bytes;
    uint32_t flags;
} source;

static void put_point(normalized *word, uint32_t point, size_t start, size_t end) {
    if (word->points == 0) word->start = (uint32_t)start;
    word->end = (uint32_t)end;
    if (word->points++ >= MOST_POINTS) return;
    word->starts[word->length] = (uint32_t)start;
    word->length += put_code_point(point, word->bytes + word->length);
    word->ends[word->length] = (uint32_t)end;
}

/* Lower-cases, when asked to. */
static void put(const source *from, normalized *word, uint32_t point, size_t start, size_t end) {
    if (!(from->flags & EB_LOWERCASE)) {
        put_point(word, point, start, end);
        return;
    }
    uint32_t lower[3];
    const unsigned count = lower_of(point, lower);
    for (unsigned i = 0; i < count; i++) put_point(word, lower[i], start, end);
}

/* ---- runs of combining marks ------------------------------------------------------------------------------------ */

/* Walks over the code points of a run: all that canonical ordering may move. `start` and `at` are the bytes of the
 * last one read. */
typedef struct walk {
    size_t start, at;
    uint32_t point;
    const unicode_record *record;
} walk;

static bool walk_on(const source *from, walk *w) {
    size_t next = w->at;
    while (next < from->bytes) {
        const size_t start = next;
        const uint32_t point = next_code_point(from->text, from->bytes, &next);
        const unicode_record *record = unicode_of(point);
        if (record->flags & UNICODE_DROPPED) continue;
        if (record->order == 0) return false;
        *w = (walk){start, next, point, record};
        return true;
    }
    return false;
}

/* The marks of a run that stay, sorted by their class; in each class first those that a decomposition left before the
 * run (`leading`, from the bytes in `before`). `marks` counts the run's marks by class, `classes` has a bit for each
 * class of which some stay. One pass for each of those: there are few. */
static void put_sorted(const source *from, normalized *word, const walk *before, const uint32_t *leading,
                       unsigned leads, uint64_t classes, const uint32_t *marks) {
    walk place = *before; /* whose offsets are due next */
    size_t placed = 0, sorted = 0;
    for (unsigned order = 0; order < UNICODE_ORDERS; sorted += marks[order++]) {
        if (!(classes >> order & 1)) continue;
        while (placed < sorted) walk_on(from, &place), placed++;
        for (unsigned i = 0; i < leads; i++)
            if (unicode_of(leading[i])->order == order) put(from, word, leading[i], place.start, place.at);
        size_t number = sorted;
        walk mark = *before;
        while (walk_on(from, &mark)) {
            if (mark.record->order != order) continue;
            number++;
            if (mark.record->flags & UNICODE_MARK) continue;
            while (placed < number) walk_on(from, &place), placed++;
            put(from, word, mark.point, place.start, place.at);
        }
    }
}

/* Takes up a run of combining marks behind before->at, returns where it ends. Most runs leave nothing. */
static size_t put_run(const source *from, normalized *word, const walk *before, const uint32_t *leading,
                      unsigned leads) {
    uint32_t marks[UNICODE_ORDERS] = {0};
    uint64_t classes = 0; /* bit n: marks of class n stay */
    for (unsigned i = 0; i < leads; i++) classes |= (uint64_t)1 << unicode_of(leading[i])->order;
    walk mark = *before;
    while (walk_on(from, &mark)) {
        marks[mark.record->order]++;
        if (!(mark.record->flags & UNICODE_MARK)) classes |= (uint64_t)1 << mark.record->order;
    }
    if (classes) put_sorted(from, word, before, leading, leads, classes, marks);
    return mark.at;
}

/* ---- words ------------------------------------------------------------------------------------------------------ */

size_t normalize_word(uint32_t flags, const uint8_t *text, size_t bytes, size_t at, normalized *word) {
    const source from = {text, bytes, flags};
    const bool strip = (flags & EB_STRIP_ACCENTS) != 0;
    word->points = word->length = 0;
    while (at < bytes) {
        size_t next = at;
        const uint32_t point = next_code_point(text, bytes, &next);
        const unicode_record *record = unicode_of(point);
        if (point < 0x80 && record->flags & (UNICODE_SPACE | UNICODE_PUNCTUATION)) return at;
        if (record->flags & UNICODE_SPACE && word->points) return next;
        if (strip && record->order) {
            at = put_run(&from, word, &(walk){at, at, 0, 0}, 0, 0);
            continue;
        }
        if (record->flags & (UNICODE_DROPPED | UNICODE_SPACE | (strip ? UNICODE_MARK : 0))) {
            at = next;
            continue;
        }
        uint32_t parts[3] = {point, 0, 0};
        const unsigned count = strip && record->flags & UNICODE_DECOMPOSES ? stripped_of(point, parts) : 1;
        const bool alone = record->flags & UNICODE_IDEOGRAPH || unicode_of(parts[0])->flags & UNICODE_PUNCTUATION;
        if (alone && word->points) return at;
        unsigned starters = 1;
        while (starters < count && !unicode_of(parts[starters])->order) starters++;
        for (unsigned i = 0; i < starters; i++) put(&from, word, parts[i], at, next);
        if (starters < count) /* a run may begin inside a decomposition */
            next = put_run(&from, word, &(walk){at, next, 0, 0}, parts + starters, count - starters);
        at = next;
        if (alone) return at;
    }
    return at;
}
