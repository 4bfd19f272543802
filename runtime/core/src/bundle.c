/* Bundles: ZIP archives with exactly one legal byte sequence for their contents, as `edgebert_runtime.archive` writes
 * them. As there, names, sizes and CRCs come from the central directory; every other byte of every header is derived
 * again and compared. So nothing can overlap, hide in a gap, or be read in two ways. Contents are not checked: a model
 * carries a checksum of its own. */
#include "edgebert.h"
#include "text.h"

enum {
    LOCAL_BYTES = 30,
    CENTRAL_BYTES = 46,
    END_BYTES = 22,
    EXTRA_BYTES = 6, /* of the extra field: id, length, alignment; zeros follow */
    DATA_ALIGNMENT = 16 * 1024,
    MOST_ENTRIES = 1024,
    MOST_NAME = 200,
    VERSION = 20,
    FIRST_DATE = 0x0021, /* 1980-01-01; the time is 0 */
    ALIGNMENT_FIELD = 0xD935
};

#define LOCAL_SIGNATURE 0x04034B50u
#define CENTRAL_SIGNATURE 0x02014B50u
#define END_SIGNATURE 0x06054B50u

typedef struct entry {
    const uint8_t *name;
    uint32_t name_bytes, crc, size;
    uint64_t start; /* of the local header */
    uint64_t data;
} entry;

typedef struct directory {
    const uint8_t *archive;
    uint64_t start, end; /* of the central directory */
    unsigned count;
} directory;

static bool same(const uint8_t *a, const uint8_t *b, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (a[i] != b[i]) return false;
    return true;
}

static bool all_zero(const uint8_t *at, uint64_t bytes) {
    unsigned any = 0; /* without an early end many bytes go at a time; there are up to 16 KiB before each entry */
    for (uint64_t i = 0; i < bytes; i++) any |= at[i];
    return any == 0;
}

/* The end record is the last thing in the file: there is no comment, so nothing to search. */
static bool find_directory(const uint8_t *archive, size_t bytes, directory *found) {
    if (bytes < END_BYTES) return false;
    const uint8_t *end = archive + (bytes - END_BYTES);
    const uint64_t size = read_u32(end + 12), start = read_u32(end + 16);
    *found = (directory){archive, start, start + size, read_u16(end + 8)};
    return read_u32(end) == END_SIGNATURE && read_u32(end + 4) == 0 && read_u16(end + 10) == found->count &&
           read_u16(end + 20) == 0 && start + size + END_BYTES == bytes && found->count > 0 &&
           found->count <= MOST_ENTRIES;
}

static bool starts_segment(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Segments of letters, digits, "_", "-" and ".", split by "/". None starts with a dot, so no name leads outside. */
static bool is_allowed(const uint8_t *name, size_t bytes) {
    if (bytes == 0 || bytes > MOST_NAME) return false;
    bool first = true;
    for (size_t i = 0; i < bytes; i++) {
        const uint8_t c = name[i];
        if (c == '/' ? first : !starts_segment(c) && (first || (c != '.' && c != '-'))) return false;
        first = c == '/';
    }
    return !first;
}

/* manifest.json comes first, the others in ASCII order: a name that appears twice is out of order. */
static bool in_order(const entry *before, const entry *after) {
    static const uint8_t manifest[] = "manifest.json";
    const size_t bytes = sizeof manifest - 1;
    if (after->name_bytes == bytes && same(after->name, manifest, bytes)) return false;
    if (before->name_bytes == bytes && same(before->name, manifest, bytes)) return true;
    for (size_t i = 0; i < before->name_bytes && i < after->name_bytes; i++)
        if (before->name[i] != after->name[i]) return before->name[i] < after->name[i];
    return before->name_bytes < after->name_bytes;
}

/* What both headers hold in the same order: flags, method, time, date, CRC, sizes, length of the name. */
static bool same_facts(const uint8_t *at, const entry *it) {
    return read_u16(at) == 0 && read_u16(at + 2) == 0 && read_u16(at + 4) == 0 && read_u16(at + 6) == FIRST_DATE &&
           read_u32(at + 8) == it->crc && read_u32(at + 12) == it->size && read_u32(at + 16) == it->size &&
           read_u16(at + 20) == it->name_bytes;
}

/* Reads the directory's entry at `at`; it->start says where its local header has to be. */
static bool read_central(const directory *in, uint64_t at, entry *it) {
    if (in->end - at < CENTRAL_BYTES) return false;
    const uint8_t *p = in->archive + at;
    it->crc = read_u32(p + 16);
    it->size = read_u32(p + 24);
    it->name_bytes = read_u16(p + 28);
    it->name = p + CENTRAL_BYTES;
    if (in->end - at - CENTRAL_BYTES < it->name_bytes || !is_allowed(it->name, it->name_bytes)) return false;
    return read_u32(p) == CENTRAL_SIGNATURE && read_u16(p + 4) == VERSION && read_u16(p + 6) == VERSION &&
           same_facts(p + 8, it) && all_zero(p + 30, 12) && read_u32(p + 42) == it->start;
}

/* Compares the local header with what it has to be, and derives where the data lies. */
static bool check_local(const directory *in, entry *it) {
    const uint64_t named = it->start + LOCAL_BYTES + it->name_bytes;
    it->data = (named + EXTRA_BYTES + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
    if (it->data + it->size > in->start) return false;
    const uint8_t *p = in->archive + it->start, *extra = in->archive + named;
    const uint64_t extra_bytes = it->data - named;
    return read_u32(p) == LOCAL_SIGNATURE && read_u16(p + 4) == VERSION && same_facts(p + 6, it) &&
           read_u16(p + 28) == extra_bytes && same(p + LOCAL_BYTES, it->name, it->name_bytes) &&
           read_u16(extra) == ALIGNMENT_FIELD && read_u16(extra + 2) == extra_bytes - 4 &&
           read_u16(extra + 4) == DATA_ALIGNMENT && all_zero(extra + EXTRA_BYTES, extra_bytes - EXTRA_BYTES);
}

static bool is_named(const entry *it, const char *name) {
    for (size_t i = 0; i < it->name_bytes; i++)
        if (name[i] == 0 || (uint8_t)name[i] != it->name[i]) return false;
    return name[it->name_bytes] == 0;
}

/* Walks the whole archive, so that a damaged one is refused whichever entry is asked for. */
static bool walk(const directory *in, const char *name, entry *wanted) {
    uint64_t at = in->start, next = 0;
    entry before = {0};
    for (unsigned i = 0; i < in->count; i++) {
        entry it = {.start = next};
        if (!read_central(in, at, &it) || !check_local(in, &it) || (i > 0 && !in_order(&before, &it))) return false;
        if (is_named(&it, name)) *wanted = it;
        at += CENTRAL_BYTES + it.name_bytes;
        next = it.data + it.size;
        before = it;
    }
    return at == in->end && next == in->start;
}

int eb_bundle_find(const uint8_t *archive, size_t bytes, const char *name, size_t *offset, size_t *size) {
    if (!archive || !name || !offset || !size) return EB_BAD_ARGUMENT;
    *offset = *size = 0;
    directory in;
    entry wanted = {0};
    if (!find_directory(archive, bytes, &in) || !walk(&in, name, &wanted)) return EB_BAD_MODEL;
    if (!wanted.name) return EB_BAD_ARGUMENT; /* a sound bundle without such an entry */
    *offset = (size_t)wanted.data;
    *size = wanted.size;
    return EB_OK;
}
