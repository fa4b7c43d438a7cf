//! What was worked out before, kept by content: an audit that was interrupted goes on where it stopped, and
//! one that asks for more computes only what is new.
//!
//! An entry's key is a hash of all that decides the result: this very program, the model, the image, the
//! runtime and its version, and every setting that matters to it. An entry that was cut off or changed does
//! not match the hash of its key and of itself that it begins with, and counts as absent. Deliberately absent: any limit of
//! size, and any clearing; the folder can be deleted at any time.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ndarray::Array4;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::digest::hex;
use crate::files::{FileError, create_output_folder, read_bounded, write_lightly};

/// The largest entry that is read.
const MOST_BYTES: u64 = 1 << 30;
/// The most bytes of what is no image in an entry.
const MOST_HEAD: usize = 1 << 26;
/// Bytes of a hash.
const HASH: usize = 32;
/// Bytes of a length.
const LENGTH: usize = 8;

/// What names an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Key(String);

/// The folder of entries.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// The hash of this program: another build may compute something else.
    program: String,
    /// Removes a folder that nobody asked for when dropped.
    _temporary: Option<TempDir>,
    /// Entries that were written or read before, whose time counts no more.
    counted: RefCell<HashSet<Key>>,
    /// See [`Self::seconds_saved`].
    saved: Cell<f64>,
}

/// What is kept beside an image.
#[derive(Serialize, Deserialize)]
struct Entry<T> {
    /// Seconds that it took to work out.
    seconds: f64,
    result: T,
}

impl Store {
    /// Entries in a folder, which is made with the first of them; without one, in a temporary folder that
    /// lives as long as this.
    pub fn open(folder: Option<&Path>) -> Result<Self, FileError> {
        let (folder, program, temporary) = match folder {
            Some(folder) => (folder.to_owned(), program(), None),
            None => {
                let temporary = tempfile::tempdir()
                    .map_err(|cause| FileError::FolderUnwritable { path: std::env::temp_dir(), cause })?;
                (temporary.path().to_owned(), String::new(), Some(temporary))
            }
        };
        let (counted, saved) = (RefCell::default(), Cell::new(0.0));
        Ok(Self { folder, program, _temporary: temporary, counted, saved })
    }

    /// The key of an entry: a hash of its kind and of all inputs that decide it.
    pub fn key(&self, kind: &str, parts: &impl Serialize) -> Key {
        let parts = serde_json::to_vec(parts).expect("keys are made of strings, numbers and lists of them");
        let mut hash = Sha256::new();
        for part in [self.program.as_bytes(), kind.as_bytes(), &parts] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Key(hex(&hash.finalize()))
    }

    /// Whether there is an entry, whole or not.
    pub fn has(&self, key: &Key) -> bool {
        self.path(key).exists()
    }

    /// Seconds that entries of earlier runs, as far as they were read, took to work out.
    pub fn seconds_saved(&self) -> f64 {
        self.saved.get()
    }

    /// What was kept, where it is whole.
    pub fn get<T: DeserializeOwned>(&self, key: &Key) -> Option<T> {
        let bytes = self.read(key)?;
        let (head, _) = parted(&bytes)?;
        self.result(key, head)
    }

    /// What was kept, or else what `work` gives, which is kept then.
    pub fn remember<T: Serialize + DeserializeOwned, E: From<FileError>>(
        &self,
        key: &Key,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if let Some(known) = self.get(key) {
            return Ok(known);
        }
        let start = Instant::now();
        let result = work()?;
        self.put(key, &result, start.elapsed().as_secs_f64())?;
        Ok(result)
    }

    /// What was kept with an image of this shape, where it is whole.
    pub fn get_with_image<T: DeserializeOwned>(
        &self,
        key: &Key,
        shape: [usize; 4],
    ) -> Option<(T, Array4<f32>)> {
        let bytes = self.read(key)?;
        let (head, image) = parted(&bytes)?;
        let values = image.chunks_exact(4).map(|bytes| f32::from_le_bytes([0, 1, 2, 3].map(|at| bytes[at])));
        let image = Array4::from_shape_vec(shape, values.collect()).ok()?;
        Some((self.result(key, head)?, image))
    }

    /// Keeps a result that took so many seconds.
    pub fn put(&self, key: &Key, result: &impl Serialize, seconds: f64) -> Result<(), FileError> {
        self.write(key, result, seconds, &[])
    }

    /// Keeps a result with an image.
    pub fn put_with_image(
        &self,
        key: &Key,
        result: &impl Serialize,
        seconds: f64,
        image: &Array4<f32>,
    ) -> Result<(), FileError> {
        let bytes: Vec<u8> = image.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.write(key, result, seconds, &bytes)
    }

    fn result<T: DeserializeOwned>(&self, key: &Key, head: &[u8]) -> Option<T> {
        let Entry { seconds, result } = serde_json::from_slice(head).ok()?;
        if self.counted.borrow_mut().insert(key.clone()) {
            self.saved.set(self.saved.get() + seconds);
        }
        Some(result)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(&key.0)
    }

    /// What follows an entry's hash, where it matches.
    fn read(&self, key: &Key) -> Option<Vec<u8>> {
        let mut bytes = read_bounded(&self.path(key), MOST_BYTES).ok()?;
        let rest = bytes.get(HASH..)?;
        if hash_of(key, &[rest])[..] != bytes[..HASH] && !cfg!(fuzzing) {
            return None;
        }
        bytes.drain(..HASH);
        Some(bytes)
    }

    fn write(&self, key: &Key, result: &impl Serialize, seconds: f64, image: &[u8]) -> Result<(), FileError> {
        if !self.folder.is_dir() {
            create_output_folder(&self.folder)?;
        }
        self.counted.borrow_mut().insert(key.clone());
        write_lightly(&self.path(key), |file| {
            let head = serde_json::to_vec(&Entry { seconds, result })?;
            let length = (head.len() as u64).to_le_bytes();
            file.write_all(&hash_of(key, &[&length[..], &head, image]))?;
            [&length[..], &head, image].iter().try_for_each(|part| file.write_all(part))
        })
    }
}

/// What an entry begins with: the hash of its key and of all that follows, so that an entry under another's name
/// counts as absent, too.
fn hash_of(key: &Key, parts: &[&[u8]]) -> [u8; HASH] {
    let mut hash = Sha256::new_with_prefix(key.0.as_bytes());
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// The hash of this very program; its version where it cannot be read.
fn program() -> String {
    let hashed = std::env::current_exe().and_then(std::fs::File::open).and_then(|mut file| {
        let mut hash = HashingSink(Sha256::new());
        std::io::copy(&mut file, &mut hash)?;
        Ok(hex(&hash.0.finalize()))
    });
    hashed.unwrap_or_else(|_| env!("CARGO_PKG_VERSION").to_owned())
}

/// Reads any bytes as each kind of entry: for fuzz/, where nothing asks whether the hash is right.
#[cfg(fuzzing)]
pub fn read_entry(bytes: &[u8]) {
    let store = Store::open(None).expect("there is a folder for temporary files");
    let key = store.key("fuzz", &());
    std::fs::write(store.path(&key), bytes).expect("there is room for a small file");
    let _ = store.get::<Vec<crate::report::Row>>(&key);
    let _ = store.get::<Option<f64>>(&key);
    if let Some((row, _)) = store.get_with_image::<crate::report::Row>(&key, [1, 3, 2, 2]) {
        let _ = serde_json::to_vec(&row);
    }
}

/// The result and the image of an entry.
fn parted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = bytes.get(..LENGTH)?;
    let length = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|at| length[at]));
    let length = usize::try_from(length).ok().filter(|length| *length <= MOST_HEAD)?;
    let rest = &bytes[LENGTH..];
    (length <= rest.len()).then(|| rest.split_at(length))
}

/// Hashes what is counted to it.
struct HashingSink(Sha256);

impl std::io::Write for HashingSink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Some(&folder.path().join("cache"))).unwrap();
        let key = store.key("attack", &("model", 4.0));
        assert!(!store.has(&key) && store.get::<Vec<f64>>(&key).is_none());
        let image =
            Array4::from_shape_fn((1, 3, 2, 2), |(_, c, y, x)| 0.1 + (c * 4 + y * 2 + x) as f32 / 7.0);
        store.put_with_image(&key, &vec![0.1 + 0.2, 1e-300], 2.0, &image).unwrap();
        assert_eq!(store.get_with_image(&key, [1, 3, 2, 2]), Some((vec![0.1 + 0.2, 1e-300], image)));
        assert!(store.get_with_image::<Vec<f64>>(&key, [1, 3, 2, 3]).is_none(), "another shape");
        assert!(store.get::<String>(&key).is_none(), "another kind of result");
        assert_eq!(store.seconds_saved(), 0.0, "it was this run's own time");
        let again = Store::open(Some(&folder.path().join("cache"))).unwrap();
        for _ in 0..2 {
            again.get_with_image::<Vec<f64>>(&again.key("attack", &("model", 4.0)), [1, 3, 2, 2]).unwrap();
            assert_eq!(again.seconds_saved(), 2.0, "counted once");
        }
        assert!(again.has(&again.key("attack", &("model", 4.0))));
        for other in [again.key("attack", &("model", 4.5)), again.key("judged", &("model", 4.0))] {
            assert!(!again.has(&other));
        }
    }

    #[test]
    fn an_entry_that_was_cut_off_or_changed_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Some(folder.path())).unwrap();
        let key = store.key("judged", &1);
        store.put(&key, &30.25, 2.0).unwrap();
        let path = store.path(&key);
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(store.get::<f64>(&key), None, "{length} bytes");
        }
        for place in 0..whole.len() {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            assert_eq!(store.get::<f64>(&key), None, "byte {place}");
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(store.get(&key), Some(30.25));
    }

    #[test]
    fn an_entry_under_another_key_is_absent() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Some(folder.path())).unwrap();
        let [one, other] = [1, 2].map(|part| store.key("judged", &part));
        store.put(&one, &30.25, 2.0).unwrap();
        std::fs::copy(store.path(&one), store.path(&other)).unwrap();
        assert_eq!((store.get::<f64>(&one), store.get::<f64>(&other)), (Some(30.25), None));
    }

    #[test]
    fn a_folder_that_nobody_asked_for_goes_again() {
        let store = Store::open(None).unwrap();
        let key = store.key("judged", &1);
        store.put(&key, &30.25, 2.0).unwrap();
        assert_eq!(store.get(&key), Some(30.25));
        let path = store.path(&key);
        drop(store);
        assert!(!path.parent().unwrap().exists());
    }
}
