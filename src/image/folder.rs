//! Which files of a folder are images, by their names.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::codec::{Picture, load};
use super::error::ImageError;

/// Extensions (in any case) that make a file in a folder an image.
pub(super) const EXTENSIONS: [&str; 11] =
    ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp", "pnm", "ppm", "pgm", "pbm"];

/// Loads every image of [`list_images`], in its order.
///
/// # Errors
/// As [`list_images`] and [`load`]; the first file that cannot be loaded ends it.
pub fn load_folder(folder: &Path) -> Result<Vec<Picture>, ImageError> {
    list_images(folder)?.iter().map(|path| load(path)).collect()
}

/// The image files of a folder, sorted by name, byte by byte.
///
/// Taken by extension (png, jpg, jpeg, bmp, tif, tiff, webp, pnm, ppm, pgm, pbm, in any case).
/// Hidden files, other extensions and folders inside the folder are passed over. At least one is
/// returned.
///
/// # Errors
/// [`ImageError::Folder`] or [`ImageError::NoImages`].
pub fn list_images(folder: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let unreadable = |cause| ImageError::Folder { path: folder.to_owned(), cause };
    let mut images = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if has_image_name(&path) && !path.is_dir() {
            images.push(path);
        }
    }
    if images.is_empty() {
        return Err(ImageError::NoImages { path: folder.to_owned() });
    }
    images.sort();
    Ok(images)
}

fn has_image_name(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    !hidden && EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// The name of a file without its folder. Bytes that are no UTF-8 are written as `\xff`, so that two names stay
/// two.
pub(super) fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).as_encoded_bytes();
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn two_names_that_are_no_text_stay_two() {
        use std::os::unix::ffi::OsStrExt;
        let name = |bytes: &[u8]| file_name(&Path::new("folder").join(OsStr::from_bytes(bytes)));
        assert_eq!(name(b"a\xff.png"), "a\\xff.png");
        assert_eq!(name(b"a\xfe.png"), "a\\xfe.png");
        assert_eq!(name("é.png".as_bytes()), "é.png");
    }

    fn message(result: Result<impl std::fmt::Debug, ImageError>) -> String {
        result.unwrap_err().to_string()
    }

    /// Saves a grey square.
    fn save(path: &Path, side: usize) {
        crate::image::save_png(path, ndarray::Array3::from_elem((3, side, side), 0.5).view()).unwrap();
    }

    #[test]
    fn a_folder_is_listed_by_name_without_what_is_no_image() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.PNG", "a.jpeg", "c.tif", ".hidden.png", "notes.txt", "png", "B.webp"] {
            fs::write(folder.path().join(name), b"x").unwrap();
        }
        fs::create_dir(folder.path().join("folder.png")).unwrap();
        let names: Vec<_> = list_images(folder.path()).unwrap().iter().map(|path| file_name(path)).collect();
        assert_eq!(names, ["B.webp", "a.jpeg", "b.PNG", "c.tif"]);
    }

    #[test]
    fn a_folder_without_images_says_what_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), b"x").unwrap();
        let empty = message(list_images(folder.path()));
        assert!(empty.contains("no images in this folder"), "{empty}");
        assert!(empty.contains("png, jpg, jpeg, bmp, tif, tiff, webp, pnm"), "{empty}");
        let absent = message(list_images(&folder.path().join("absent")));
        assert!(absent.contains("absent: cannot be read as a folder"), "{absent}");
        let file = message(load_folder(&folder.path().join("notes.txt")));
        assert!(file.contains("notes.txt: cannot be read as a folder"), "{file}");
    }

    #[test]
    fn a_folder_loads_in_the_order_of_its_list() {
        let folder = tempfile::tempdir().unwrap();
        for (name, side) in [("b.png", 2), ("a.png", 3)] {
            save(&folder.path().join(name), side);
        }
        let pictures = load_folder(folder.path()).unwrap();
        let names: Vec<_> = pictures.iter().map(|picture| picture.name.as_str()).collect();
        assert_eq!(names, ["a.png", "b.png"]);
        fs::write(folder.path().join("c.png"), b"").unwrap();
        assert!(message(load_folder(folder.path())).contains("c.png: the file is empty"));
    }
}
