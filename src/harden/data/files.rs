//! Which files a data set is: a folder of HR images, DIV2K's layout, and LR images where they are
//! given.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::harden::HardenError;
use crate::image::{list_images, match_pairs};

/// An HR image and, where it is given, its LR image.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::harden) struct Files {
    pub hr: PathBuf,
    pub lr: Option<PathBuf>,
}

/// Which part of DIV2K.
#[derive(Clone, Copy, Debug)]
pub(in crate::harden) enum Part {
    Train,
    Valid,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
        }
    }
}

/// The files of `folder`, in the order of their names: its images, or those of DIV2K's subfolders.
/// LR images come from `lr`, or from DIV2K's own bicubic ones of this scale, where they are. Where several LR
/// images have one HR image, the first counts.
///
/// # Errors
/// No images, or an HR or LR image without its partner.
pub(in crate::harden) fn find(
    folder: &Path,
    lr: Option<&Path>,
    scale: usize,
    part: Part,
) -> Result<Vec<Files>, HardenError> {
    let div2k = folder.join(format!("DIV2K_{}_HR", part.name()));
    let bicubic = folder.join(format!("DIV2K_{}_LR_bicubic/X{scale}", part.name()));
    let (folder, lr) = if div2k.is_dir() {
        (div2k, lr.map(Path::to_owned).or_else(|| bicubic.is_dir().then_some(bicubic)))
    } else {
        (folder.to_owned(), lr.map(Path::to_owned))
    };
    let hr = list_images(&folder)?;
    let Some(lr) = lr else {
        return Ok(hr.into_iter().map(|hr| Files { hr, lr: None }).collect());
    };
    let pairs = match_pairs(&list_images(&lr)?, &folder)?;
    let matched: HashSet<&PathBuf> = pairs.iter().map(|pair| &pair.hr).collect();
    if let Some(alone) = hr.iter().find(|hr| !matched.contains(hr)) {
        return Err(HardenError::Unpaired { hr: alone.clone(), folder: lr });
    }
    let mut files: Vec<Files> =
        pairs.into_iter().map(|pair| Files { hr: pair.hr, lr: Some(pair.lr) }).collect();
    files.sort_by(|left, right| left.hr.cmp(&right.hr));
    files.dedup_by(|later, first| later.hr == first.hr);
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"names only").unwrap();
        }
        folder
    }

    fn names(files: &[Files]) -> Vec<(String, Option<String>)> {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        files.iter().map(|files| (name(&files.hr), files.lr.as_deref().map(name))).collect()
    }

    #[test]
    fn div2k_is_found_with_its_lr_images_of_the_scale() {
        let data = folder(&[
            "DIV2K_train_HR/0001.png",
            "DIV2K_train_HR/0002.png",
            "DIV2K_train_LR_bicubic/X4/0001x4.png",
            "DIV2K_train_LR_bicubic/X4/0002x4.png",
            "DIV2K_valid_HR/0801.png",
        ]);
        let found = |scale, part| names(&find(data.path(), None, scale, part).unwrap());
        let pair = |hr: &str, lr: Option<&str>| (hr.to_owned(), lr.map(str::to_owned));
        let both = [pair("0001.png", Some("0001x4.png")), pair("0002.png", Some("0002x4.png"))];
        assert_eq!(found(4, Part::Train), both);
        assert_eq!(found(2, Part::Train), [pair("0001.png", None), pair("0002.png", None)]);
        assert_eq!(found(4, Part::Valid), [pair("0801.png", None)]);
    }

    #[test]
    fn an_image_without_its_partner_is_named() {
        let data = folder(&["hr/a.png", "hr/b.png", "lr/a_x4.png"]);
        let find = |lr: &str| find(&data.path().join("hr"), Some(&data.path().join(lr)), 4, Part::Train);
        let alone = find("lr").unwrap_err().to_string();
        assert!(alone.contains("hr/b.png: no LR image for it in ") && alone.contains("lr"), "{alone}");
        fs::write(data.path().join("lr/c.png"), b"x").unwrap();
        let unknown = find("lr").unwrap_err().to_string();
        assert!(unknown.contains("c.png: no ground truth for it"), "{unknown}");
        assert!(find("absent").is_err());
    }
}
