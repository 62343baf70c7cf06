//! What a picture looks like: its size in pixels and a small copy, as WhatsApp's clients show before they have
//! the file.
//!
//! What must hold: a picture from outside cannot take more memory or time than the limits say, however large
//! it claims to be; what cannot be read has no preview, and is sent all the same.

use std::io::Cursor;
use std::sync::{Arc, LazyLock};

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ImageFormat, ImageReader, Limits};
use tokio::sync::Semaphore;

/// Largest picture, encoded, that is looked at.
pub const LARGEST: u64 = 16 << 20;
/// Longest side of a picture that is decoded.
const SIDE: u32 = 12_000;
/// Memory that decoding one picture may take.
const MEMORY: u64 = 192 << 20;
/// Longest side of a preview.
const SMALL: u32 = 100;
const QUALITY: u8 = 60;
/// Pictures that are decoded at a time in one process.
const AT_ONCE: usize = 2;

static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// JPEG, or PNG where transparency counts.
    pub thumbnail: Vec<u8>,
}

/// Looks at a picture on a thread of its own. `transparent` is for stickers.
pub async fn preview(file: Vec<u8>, transparent: bool) -> Option<Preview> {
    let place = PLACES.clone().acquire_owned().await.expect("it is never closed");
    let looked = tokio::task::spawn_blocking(move || {
        let _place = place;
        look(&file, transparent)
    });
    match looked.await {
        Ok(Ok(preview)) => Some(preview),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a picture without a preview");
            None
        }
        // The decoder failed in a way that it should not; the picture is sent all the same.
        Err(error) => {
            tracing::warn!(%error, "a picture could not be looked at");
            None
        }
    }
}

fn look(file: &[u8], transparent: bool) -> Result<Preview, image::ImageError> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(SIDE), Some(SIDE));
    limits.max_alloc = Some(MEMORY);
    reader.limits(limits);
    let picture = reader.decode()?;
    let small = picture.thumbnail(SMALL, SMALL);
    let mut thumbnail = Vec::new();
    match transparent {
        true => small.write_with_encoder(PngEncoder::new(&mut thumbnail))?,
        false => {
            small.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut thumbnail, QUALITY))?
        }
    }
    Ok(Preview { width: picture.width(), height: picture.height(), thumbnail })
}

/// Whether a type is one that can be looked at.
pub fn can_look_at(mime_type: &str) -> bool {
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

    #[tokio::test]
    async fn a_picture_has_its_size_and_a_small_copy() {
        let preview = preview(png(400, 200), false).await.expect("it is a picture");
        assert_eq!((preview.width, preview.height), (400, 200));
        let small = image::load_from_memory_with_format(&preview.thumbnail, ImageFormat::Jpeg);
        let small = small.expect("a JPEG");
        assert_eq!((small.width(), small.height()), (SMALL, SMALL / 2));
    }

    #[tokio::test]
    async fn a_bomb_is_not_unpacked() {
        // A few hundred bytes that claim to be 60,000 pixels wide and high.
        let mut bomb = png(1, 1);
        bomb[16..20].copy_from_slice(&60_000u32.to_be_bytes());
        bomb[20..24].copy_from_slice(&60_000u32.to_be_bytes());
        assert_eq!(preview(bomb, false).await, None);
        // One that is within the sides and beyond the memory.
        assert_eq!(preview(png(11_000, 7_000), false).await, None);
    }

    #[tokio::test]
    async fn what_is_no_picture_has_no_preview() {
        assert_eq!(preview(b"not a picture".to_vec(), false).await, None);
        assert_eq!(preview(Vec::new(), true).await, None);
        assert!(can_look_at("image/webp") && !can_look_at("image/svg+xml") && !can_look_at("video/mp4"));
    }
}
