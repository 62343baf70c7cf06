//! What a picture looks like: its size in pixels and a small copy, as WhatsApp's clients show before they have
//! the file.
//!
//! What must hold: a picture from outside cannot take more memory or time than the limits say, however large
//! it claims to be; what cannot be read has no preview, and is sent all the same.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ImageError, ImageFormat, ImageReader, Limits};

use super::Seen;

/// Largest picture, encoded, that is looked at.
pub(super) const LARGEST: u64 = 16 << 20;
/// Longest side of a picture that is decoded.
const SIDE: u32 = 12_000;
/// Memory that decoding one picture may take.
const MEMORY: u64 = 192 << 20;
/// How much of it a decoded JPEG may have: what the decoder keeps of a progressive one beside it, sixteen bits for each of up
/// to four colours, is three times as large at most, and is not counted.
const JPEG: u64 = MEMORY / 4;
/// Longest side of a preview.
const SMALL: u32 = 100;
const QUALITY: u8 = 60;

/// Looks at a picture, which is decoded whole. `transparent` is for stickers.
pub(super) fn look(file: &[u8], transparent: bool) -> Result<Seen, ImageError> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(SIDE), Some(SIDE));
    limits.max_alloc = Some(if reader.format() == Some(ImageFormat::Jpeg) { JPEG } else { MEMORY });
    reader.limits(limits);
    let picture = reader.decode()?;
    let small = picture.thumbnail(SMALL, SMALL);
    let mut thumbnail = Vec::new();
    match transparent {
        // Eight bits of four colours, whatever the file has: that is what clients show.
        true => small.to_rgba8().write_with_encoder(PngEncoder::new(&mut thumbnail))?,
        false => {
            small.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut thumbnail, QUALITY))?
        }
    }
    Ok(Seen { width: picture.width(), height: picture.height(), thumbnail, ..Seen::default() })
}

/// Whether a type is one that can be looked at.
pub(super) fn can_look_at(mime_type: &str) -> bool {
    let format = ImageFormat::from_mime_type(mime_type);
    matches!(format, Some(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut file = Vec::new();
        image::RgbImage::new(width, height).write_with_encoder(PngEncoder::new(&mut file)).expect("encoded");
        file
    }

    #[test]
    fn a_picture_has_its_size_and_a_small_copy() {
        let preview = look(&png(400, 200), false).expect("it is a picture");
        assert_eq!((preview.width, preview.height), (400, 200));
        let small = image::load_from_memory_with_format(&preview.thumbnail, ImageFormat::Jpeg);
        let small = small.expect("a JPEG");
        assert_eq!((small.width(), small.height()), (SMALL, SMALL / 2));
    }

    #[test]
    fn the_small_copy_of_a_sticker_is_a_usual_png_whatever_its_colours_are() {
        let mut grey = Vec::new();
        let picture = image::DynamicImage::new_luma16(300, 200);
        picture.write_with_encoder(PngEncoder::new(&mut grey)).expect("encoded");
        for file in [grey, png(300, 200)] {
            let seen = look(&file, true).expect("it is a picture");
            let small =
                image::load_from_memory_with_format(&seen.thumbnail, ImageFormat::Png).expect("a PNG");
            assert_eq!(small.color(), image::ColorType::Rgba8);
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        // A few hundred bytes that claim to be 60,000 pixels wide and high.
        let mut bomb = png(1, 1);
        bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
        assert!(look(&bomb, false).is_err());
        // One that is within the sides and beyond the memory.
        assert!(look(&png(11_000, 7_000), false).is_err());
    }

    #[test]
    fn a_jpeg_has_room_for_what_its_decoder_keeps_beside_it() {
        let mut file = Vec::new();
        image::RgbImage::new(8, 8).write_with_encoder(JpegEncoder::new(&mut file)).expect("encoded");
        let sized = |width: u16, height: u16| {
            let mut file = file.clone();
            let at = file.windows(2).position(|two| two == [0xff, 0xc0]).expect("a header of the picture");
            file[at + 1] = 0xc2;
            file[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
            file[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
            file
        };
        let refused = look(&sized(6_000, 5_000), false);
        assert!(matches!(refused, Err(ImageError::Limits(_))), "{refused:?}");
        let within = look(&sized(64, 64), false);
        assert!(!matches!(within, Err(ImageError::Limits(_))), "{within:?}");
    }

    #[test]
    fn what_is_no_picture_has_no_preview() {
        assert!(look(b"not a picture", false).is_err());
        assert!(look(&[], true).is_err());
        assert!(can_look_at("image/webp") && !can_look_at("image/svg+xml") && !can_look_at("video/mp4"));
    }
}
