#include "bridge.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

// MARK: - Errors and warnings

enum { WARNINGS_SIZE = 1024 };

// One instance serves a read or a write; libpng hands it to the handlers below.
typedef struct {
  char *message;
  char warnings[WARNINGS_SIZE];
} reports;

static void copy_text(char *target, size_t size, const char *text) {
  size_t length = strlen(text);
  if (length >= size) length = size - 1;
  memcpy(target, text, length);
  target[length] = 0;
}

static void on_error(png_structp png, png_const_charp text) {
  const reports *report = png_get_error_ptr(png);
  copy_text(report->message, PNG_BRIDGE_MESSAGE_SIZE, text);
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
  reports *report = png_get_error_ptr(png);
  size_t used = strlen(report->warnings);
  size_t length = strlen(text);
  // A text that does not fit is left out: the first warnings tell most.
  if (used + length + 2 > WARNINGS_SIZE) return;
  if (used > 0) report->warnings[used++] = '\n';
  memcpy(report->warnings + used, text, length + 1);
}

// MARK: - Reading

struct png_bridge_reader {
  png_structp png;
  png_infop info;
  const uint8_t *bytes;
  size_t count;
  size_t position;
  uint32_t width;
  uint32_t height;
  uint8_t channels;
  uint8_t bit_depth;
  png_bytep *rows;
  reports report;
};

static void take_bytes(png_structp png, png_bytep target, size_t length) {
  png_bridge_reader *reader = png_get_io_ptr(png);
  if (length > reader->count - reader->position) png_error(png, "the file ends early");
  memcpy(target, reader->bytes + reader->position, length);
  reader->position += length;
}

// Colour management and annotations change no sample; skipping them unread also means that their
// compressed contents are never expanded.
static const png_byte skipped_chunks[] =
  "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0tEXt\0tIME\0"
  "zTXt";

static void configure(png_bridge_reader *reader, size_t chunk_limit) {
  png_structp png = reader->png;
  png_set_read_fn(png, reader, take_bytes);
  png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  // The caller checks the size against its own limit before it allocates.
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_chunk_malloc_max(png, chunk_limit);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, 0);
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, skipped_chunks,
                              sizeof skipped_chunks / 5);
}

static void copy_palette(png_bridge_reader *reader, png_bridge_header *header) {
  png_colorp palette = NULL;
  int count = 0;
  if (!png_get_PLTE(reader->png, reader->info, &palette, &count)) {
    png_error(reader->png, "a palette image without palette");
  }
  header->palette_count = (uint16_t)count;
  for (int entry = 0; entry < count; entry++) {
    header->palette[entry][0] = palette[entry].red;
    header->palette[entry][1] = palette[entry].green;
    header->palette[entry][2] = palette[entry].blue;
  }
}

static void copy_transparency(png_bridge_reader *reader, png_bridge_header *header) {
  png_bytep alpha = NULL;
  png_color_16p colour = NULL;
  int count = 0;
  if (!png_get_tRNS(reader->png, reader->info, &alpha, &count, &colour)) return;
  if (header->colour_type == PNG_BRIDGE_PALETTE) {
    if (count > PNG_BRIDGE_PALETTE_SIZE) count = PNG_BRIDGE_PALETTE_SIZE;
    header->palette_alpha_count = (uint16_t)count;
    memcpy(header->palette_alpha, alpha, (size_t)count);
  } else if (header->colour_type == PNG_BRIDGE_GREY) {
    header->has_transparent_colour = 1;
    header->transparent_colour[0] = colour->gray;
  } else {
    header->has_transparent_colour = 1;
    header->transparent_colour[0] = colour->red;
    header->transparent_colour[1] = colour->green;
    header->transparent_colour[2] = colour->blue;
  }
}

static void copy_header(png_bridge_reader *reader, png_bridge_header *header) {
  png_structp png = reader->png;
  memset(header, 0, sizeof *header);
  header->width = reader->width = png_get_image_width(png, reader->info);
  header->height = reader->height = png_get_image_height(png, reader->info);
  header->bit_depth = reader->bit_depth = png_get_bit_depth(png, reader->info);
  header->channels = reader->channels = png_get_channels(png, reader->info);
  header->colour_type = png_get_color_type(png, reader->info);
  header->is_interlaced = png_get_interlace_type(png, reader->info) != PNG_INTERLACE_NONE;
  if (header->colour_type == PNG_BRIDGE_PALETTE) copy_palette(reader, header);
  copy_transparency(reader, header);
}

png_bridge_reader *png_bridge_open(const uint8_t *bytes, size_t count, size_t chunk_limit,
                                   png_bridge_header *header, char *message) {
  copy_text(message, PNG_BRIDGE_MESSAGE_SIZE, "not enough memory");
  // The only variable of this frame that outlives a longjmp; it does not change after the setjmp.
  png_bridge_reader *const reader = calloc(1, sizeof *reader);
  if (reader == NULL) return NULL;
  reader->bytes = bytes;
  reader->count = count;
  reader->report.message = message;
  reader->png =
    png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader->report, on_error, on_warning);
  if (reader->png != NULL) reader->info = png_create_info_struct(reader->png);
  if (reader->info == NULL || setjmp(png_jmpbuf(reader->png))) {
    png_bridge_close(reader);
    return NULL;
  }
  configure(reader, chunk_limit);
  png_read_info(reader->png, reader->info);
  copy_header(reader, header);
  return reader;
}

// Spreads the bytes at the start of a row over 16-bit samples, from the end so that none is
// overwritten before it was read.
static void widen_row(uint16_t *row, size_t count, uint8_t bit_depth) {
  const uint8_t *bytes = (const uint8_t *)row;
  if (bit_depth < 16) {
    for (size_t i = count; i-- > 0;) row[i] = bytes[i];
  } else {
    for (size_t i = 0; i < count; i++) {
      row[i] = (uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
    }
  }
}

int png_bridge_read(png_bridge_reader *reader, uint16_t *samples, size_t *consumed, char *message) {
  reader->report.message = message;
  copy_text(message, PNG_BRIDGE_MESSAGE_SIZE, "not enough memory");
  if (setjmp(png_jmpbuf(reader->png))) return 0;

  const size_t row_count = (size_t)reader->width * reader->channels;
  reader->rows = malloc(reader->height * sizeof *reader->rows);
  if (reader->rows == NULL) return 0;
  for (size_t y = 0; y < reader->height; y++) {
    reader->rows[y] = (png_bytep)(samples + y * row_count);
  }
  if (reader->bit_depth < 8) png_set_packing(reader->png);
  png_set_interlace_handling(reader->png);
  png_read_update_info(reader->png, reader->info);
  png_read_image(reader->png, reader->rows);
  png_read_end(reader->png, NULL);
  for (size_t y = 0; y < reader->height; y++) {
    widen_row(samples + y * row_count, row_count, reader->bit_depth);
  }
  *consumed = reader->position;
  return 1;
}

const char *png_bridge_warnings(const png_bridge_reader *reader) {
  return reader->report.warnings;
}

void png_bridge_close(png_bridge_reader *reader) {
  if (reader->png != NULL) png_destroy_read_struct(&reader->png, &reader->info, NULL);
  free(reader->rows);
  free(reader);
}

// MARK: - Writing

typedef struct {
  uint8_t *bytes;
  size_t count;
  size_t capacity;
  png_bytep row;
  png_infop info;
  reports report;
} writer_state;

static void append_bytes(png_structp png, png_bytep bytes, size_t length) {
  writer_state *state = png_get_io_ptr(png);
  if (length > state->capacity - state->count) {
    size_t capacity = state->capacity * 2 + length + 4096;
    uint8_t *grown = realloc(state->bytes, capacity);
    if (grown == NULL) png_error(png, "not enough memory");
    state->bytes = grown;
    state->capacity = capacity;
  }
  memcpy(state->bytes + state->count, bytes, length);
  state->count += length;
}

static void flush_nothing(png_structp png) {
  (void)png;
}

static void write_row(png_structp png, png_bytep row, const uint16_t *samples, size_t count,
                      uint8_t bit_depth) {
  if (bit_depth == 8) {
    for (size_t i = 0; i < count; i++) row[i] = (uint8_t)samples[i];
  } else {
    for (size_t i = 0; i < count; i++) {
      row[2 * i] = (uint8_t)(samples[i] >> 8);
      row[2 * i + 1] = (uint8_t)samples[i];
    }
  }
  png_write_row(png, row);
}

int png_bridge_encode(const uint16_t *samples, uint32_t width, uint32_t height, uint8_t channels,
                      uint8_t bit_depth, const uint8_t *palette, size_t palette_count,
                      uint8_t **encoded, size_t *count, char *message) {
  copy_text(message, PNG_BRIDGE_MESSAGE_SIZE, "not enough memory");
  const size_t row_count = (size_t)width * channels;
  png_color colours[PNG_MAX_PALETTE_LENGTH];
  for (size_t i = 0; i < palette_count; i++) {
    colours[i].red = palette[3 * i];
    colours[i].green = palette[3 * i + 1];
    colours[i].blue = palette[3 * i + 2];
  }
  // In the heap, so that what was changed after the setjmp is still defined after a longjmp.
  writer_state *const state = calloc(1, sizeof *state);
  if (state == NULL) return 0;
  state->report.message = message;
  state->row = malloc(row_count * 2);
  png_structp png =
    png_create_write_struct(PNG_LIBPNG_VER_STRING, &state->report, on_error, on_warning);
  if (png != NULL) state->info = png_create_info_struct(png);
  if (state->row == NULL || state->info == NULL || setjmp(png_jmpbuf(png))) {
    if (png != NULL) png_destroy_write_struct(&png, &state->info);
    free(state->bytes);
    free(state->row);
    free(state);
    return 0;
  }
  png_set_write_fn(png, state, append_bytes, flush_nothing);
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_compression_level(png, 6);
  png_set_IHDR(png, state->info, width, height, bit_depth,
               palette_count > 0 ? PNG_COLOR_TYPE_PALETTE
               : channels == 1   ? PNG_COLOR_TYPE_GRAY
                                 : PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (palette_count > 0) png_set_PLTE(png, state->info, colours, (int)palette_count);
  png_write_info(png, state->info);
  for (size_t y = 0; y < height; y++) {
    write_row(png, state->row, samples + y * row_count, row_count, bit_depth);
  }
  png_write_end(png, NULL);
  png_destroy_write_struct(&png, &state->info);
  *encoded = state->bytes;
  *count = state->count;
  free(state->row);
  free(state);
  return 1;
}

void png_bridge_free(uint8_t *encoded) {
  free(encoded);
}
