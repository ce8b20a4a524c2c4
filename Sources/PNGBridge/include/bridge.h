/// Reading and writing of PNG images in memory, for callers that longjmp must never cross.
///
/// libpng reports errors by longjmp. Every call of libpng is made inside a function of this file that
/// has its own setjmp, and no function of this file calls back into its caller, so no foreign frame
/// ever lies between the two.

#ifndef PNG_BRIDGE_H
#define PNG_BRIDGE_H

#include <stddef.h>
#include <stdint.h>

enum {
  /// Size of the buffer for an error text, its final zero included.
  PNG_BRIDGE_MESSAGE_SIZE = 256,
  /// Most entries of a palette.
  PNG_BRIDGE_PALETTE_SIZE = 256,
};

/// The values of the colour type field of a PNG header.
enum {
  PNG_BRIDGE_GREY = 0,
  PNG_BRIDGE_RGB = 2,
  PNG_BRIDGE_PALETTE = 3,
  PNG_BRIDGE_GREY_ALPHA = 4,
  PNG_BRIDGE_RGB_ALPHA = 6,
};

/// What the header of a PNG image, and the chunks in front of the pixels, say.
typedef struct {
  uint32_t width;
  uint32_t height;
  /// Bits per stored sample: 1, 2, 4, 8 or 16.
  uint8_t bit_depth;
  uint8_t colour_type;
  /// Stored samples per pixel; 1 for a palette, whose samples are indices.
  uint8_t channels;
  uint8_t is_interlaced;
  /// Entries of `palette`; 0 unless the colour type is a palette.
  uint16_t palette_count;
  /// Entries of `palette_alpha`; entries of the palette beyond these are opaque.
  uint16_t palette_alpha_count;
  /// Whether one colour is declared transparent, and which; one value for grey, three for RGB.
  uint8_t has_transparent_colour;
  uint16_t transparent_colour[3];
  uint8_t palette[PNG_BRIDGE_PALETTE_SIZE][3];
  uint8_t palette_alpha[PNG_BRIDGE_PALETTE_SIZE];
} png_bridge_header;

/// A PNG image in the middle of being read.
typedef struct png_bridge_reader png_bridge_reader;

/// Reads everything in front of the pixels.
///
/// Memory that libpng takes for a single chunk is limited to `chunk_limit` bytes, whatever length a
/// chunk claims. Checksums must be right in every chunk. Chunks that do not bear on the samples
/// (gamma, profiles, texts, times) are checked and skipped.
///
/// bytes:   the file, [count], borrowed until png_bridge_close
/// header:  written on success
/// message: [PNG_BRIDGE_MESSAGE_SIZE], a C string, written on failure
/// Returns a reader that the caller closes, or NULL.
png_bridge_reader *png_bridge_open(const uint8_t *bytes, size_t count, size_t chunk_limit,
                                   png_bridge_header *header, char *message);

/// Reads the pixels and the end of the file; to be called once, before png_bridge_close.
///
/// samples:  [height, width, channels], written: the stored samples, neither scaled nor gamma
///           corrected, interlacing undone
/// consumed: bytes of the file up to the end of the image, written on success
/// message:  [PNG_BRIDGE_MESSAGE_SIZE], written on failure
/// Returns 1 on success, 0 on failure (the samples are then undefined).
int png_bridge_read(png_bridge_reader *reader, uint16_t *samples, size_t *consumed, char *message);

/// What libpng found worth a warning so far, one per line, cut to a fixed length; "" without any.
const char *png_bridge_warnings(const png_bridge_reader *reader);

/// Frees a reader.
void png_bridge_close(png_bridge_reader *reader);

/// Makes a PNG file of 8 or 16-bit grey or RGB samples, or of 8-bit indices into a palette; the same
/// samples always give the same bytes.
///
/// samples: [height, width, channels], channels 1 or 3, values below 2^bit_depth
/// palette: [palette_count, 3], at most 256 colours, channels being 1; not read if there are none
/// encoded: on success set to the file, which the caller releases with png_bridge_free
/// count:   on success its number of bytes
/// message: [PNG_BRIDGE_MESSAGE_SIZE], written on failure
/// Returns 1 on success, 0 on failure.
int png_bridge_encode(const uint16_t *samples, uint32_t width, uint32_t height, uint8_t channels,
                      uint8_t bit_depth, const uint8_t *palette, size_t palette_count,
                      uint8_t **encoded, size_t *count, char *message);

/// Frees what png_bridge_encode made.
void png_bridge_free(uint8_t *encoded);

#endif
