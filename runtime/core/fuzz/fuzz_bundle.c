/* The bundle reader: an arbitrary file, and a sound bundle with some bytes changed.
 *
 * Input: a byte that says which. 0: the rest is the file. Else: two bytes for the size of the second of three
 * entries, then changes, four bytes each: where (two bytes, counted over the bytes that are no contents) and what is
 * xored into two bytes from there on. */
#include "fuzz.h"

static const char *const names[] = {"manifest.json", "a/model.ebnn", "vocab.txt"};
enum { ENTRIES = 3, ALIGNED = 16 * 1024, MOST_BYTES = 8 * ALIGNED };

typedef struct bundle {
    uint8_t *at;
    size_t bytes, directory;
    size_t offset[ENTRIES], size[ENTRIES];
} bundle;

static void put(uint8_t **at, uint32_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) *(*at)++ = (uint8_t)(value >> (8 * i));
}

static void put_header(uint8_t **at, unsigned i, uint32_t size) {
    put(at, 0, 2), put(at, 0, 2), put(at, 0, 2), put(at, 0x21, 2);
    put(at, 0xC0C0 + i, 4), put(at, size, 4), put(at, size, 4), put(at, (uint32_t)strlen(names[i]), 2);
}

static void put_name(uint8_t **at, unsigned i) { memcpy(*at, names[i], strlen(names[i])), *at += strlen(names[i]); }

static bundle make_bundle(size_t second) {
    bundle it = {.at = take(MOST_BYTES), .size = {10, second, 0}};
    memset(it.at, 0, MOST_BYTES);
    size_t starts[ENTRIES];
    uint8_t *at = it.at;
    for (unsigned i = 0; i < ENTRIES; i++) {
        starts[i] = (size_t)(at - it.at);
        const size_t named = starts[i] + 30 + strlen(names[i]);
        it.offset[i] = (named + 6 + ALIGNED - 1) / ALIGNED * ALIGNED;
        put(&at, 0x04034B50, 4), put(&at, 20, 2), put_header(&at, i, (uint32_t)it.size[i]);
        put(&at, (uint32_t)(it.offset[i] - named), 2), put_name(&at, i);
        put(&at, 0xD935, 2), put(&at, (uint32_t)(it.offset[i] - named - 4), 2), put(&at, ALIGNED, 2);
        at = it.at + it.offset[i] + it.size[i];
    }
    it.directory = (size_t)(at - it.at);
    for (unsigned i = 0; i < ENTRIES; i++) {
        put(&at, 0x02014B50, 4), put(&at, 20, 2), put(&at, 20, 2), put_header(&at, i, (uint32_t)it.size[i]);
        at += 12, put(&at, (uint32_t)starts[i], 4), put_name(&at, i);
    }
    const uint32_t bytes = (uint32_t)((size_t)(at - it.at) - it.directory);
    put(&at, 0x06054B50, 4), at += 4, put(&at, ENTRIES, 2), put(&at, ENTRIES, 2);
    put(&at, bytes, 4), put(&at, (uint32_t)it.directory, 4), at += 2;
    it.bytes = (size_t)(at - it.at);
    return it;
}

static int is_contents(const bundle *it, size_t place) {
    for (unsigned i = 0; i < ENTRIES; i++)
        if (place >= it->offset[i] && place - it->offset[i] < it->size[i]) return 1;
    return 0;
}

/* The place of byte number `n` of those that are no contents. */
static size_t header_byte(const bundle *it, size_t n) {
    size_t behind = 0;
    for (unsigned i = 0; i < ENTRIES; i++) {
        if (n < it->offset[i] - behind) return behind + n;
        n -= it->offset[i] - behind;
        behind = it->offset[i] + it->size[i];
    }
    return behind + n % (it->bytes - behind);
}

/* Nothing found reaches out of the file, or into its directory. */
static int find(const uint8_t *file, size_t bytes, const char *name, size_t *offset, size_t *size) {
    const int status = eb_bundle_find(file, bytes, name, offset, size);
    EXPECT(status == EB_OK || status == EB_BAD_MODEL || status == EB_BAD_ARGUMENT);
    if (status != EB_OK) EXPECT(*offset == 0 && *size == 0);
    else EXPECT(*offset % ALIGNED == 0 && *offset > 0 && *offset < bytes && *size < bytes - *offset);
    return status;
}

/* Changes a byte; returns by how much the number of header bytes that differ from the original grows. */
static int change(const bundle *it, const uint8_t *original, size_t place, uint8_t with) {
    if (place >= it->bytes) return 0;
    const int before = it->at[place] != original[place];
    it->at[place] ^= with;
    return is_contents(it, place) ? 0 : (it->at[place] != original[place]) - before;
}

static void try_changes(input in) {
    const size_t low = next_byte(&in);
    bundle it = make_bundle((low | (size_t)next_byte(&in) << 8) % ALIGNED);
    uint8_t *original = copy_of(it.at, it.bytes);
    size_t offset, size;
    int changed = 0;
    while (in.left >= 4) {
        const size_t first = next_byte(&in), place = header_byte(&it, first | (size_t)next_byte(&in) << 8);
        changed += change(&it, original, place, next_byte(&in));
        changed += change(&it, original, place + 1, next_byte(&in));
    }
    uint8_t *exact = copy_of(it.at, it.bytes);
    for (unsigned i = 0; i < ENTRIES; i++) {
        const int status = find(exact, it.bytes, names[i], &offset, &size);
        if (changed == 0) EXPECT(status == EB_OK && offset == it.offset[i] && size == it.size[i]);
        /* Whatever a header says, another place says too: one changed byte is always found. */
        if (changed == 1) EXPECT(status == EB_BAD_MODEL);
    }
    if (changed == 0) EXPECT(find(exact, it.bytes, "a", &offset, &size) == EB_BAD_ARGUMENT);
    if (changed == 0) EXPECT(find(exact, it.bytes - 1, names[0], &offset, &size) == EB_BAD_MODEL);
    free(exact), free(original), free(it.at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    if (next_byte(&in)) {
        try_changes(in);
        return 0;
    }
    uint8_t *file = copy_of(in.at, in.left);
    size_t offset, found;
    find(file, in.left, names[0], &offset, &found);
    free(file);
    return 0;
}
