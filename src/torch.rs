//! libtorch's facade: the only file that names the `tch` crate. It re-exports what other modules
//! use and holds what every user of libtorch needs once: the device, the seed, the version, the
//! conversions from and to `ndarray`, and errors a person can read. No network and no loss is here.
//!
//! `tch` has two names for most operations: `add` panics when libtorch refuses, `f_add` returns the
//! error. The rule in this project: whatever a stranger's model, image or flag can make fail goes
//! through the `f_` name and ends as a [`TorchError`]; the plain name is for tensors whose shapes,
//! kinds and devices our own code has just made.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ndarray::{ArrayD, ArrayViewD, IxDyn};

pub use tch::kind::Element;
pub use tch::{
    Cuda, Device, IndexOp, Kind, NewAxis, NoGradGuard, Reduction, Scalar, TchError, Tensor, TensorIndexer,
    autocast, no_grad, no_grad_guard, with_grad,
};

/// The libtorch that `tch` was built against; used only where the library cannot say its own.
const BUILT_AGAINST: &str = "2.11.0";

/// The part of libtorch that registers the CUDA device when it is loaded.
const CUDA_LIBRARY: &str = "libtorch_cuda.so";

/// What can go wrong at the border to libtorch.
#[derive(Debug, thiserror::Error)]
pub enum TorchError {
    /// A device name other than `cpu`, `cuda`, `cuda:N` or `auto`.
    #[error("unknown device `{given}`: use cpu, cuda, cuda:N or auto")]
    UnknownDevice {
        /// The name as given.
        given: String,
    },
    /// CUDA was asked for by name and cannot be had.
    #[error("device cuda is not available: {reason}; {remedy}, or use --device cpu")]
    NoCuda {
        /// What is missing.
        reason: String,
        /// What would bring it.
        remedy: &'static str,
    },
    /// libtorch refused an operation; its own first line, without the C++ backtrace.
    #[error("libtorch: {0}")]
    Libtorch(String),
}

impl From<TchError> for TorchError {
    fn from(error: TchError) -> Self {
        Self::Libtorch(first_line(&error))
    }
}

/// The first line of libtorch's message: what follows it is a C++ backtrace.
pub fn first_line(error: &TchError) -> String {
    let text = match error {
        TchError::Torch(message) => message.clone(),
        other => other.to_string(),
    };
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("failed without a message").to_owned()
}

/// What became of libtorch's CUDA part, which is a library of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CudaLibrary {
    /// It does not lie beside the libtorch in use (this folder, where it is known).
    Absent(Option<PathBuf>),
    /// It is loaded: a device exists if the machine has a GPU and a driver.
    Loaded,
    /// It is there and could not be loaded, for this reason.
    Broken(String),
}

/// Loads libtorch's CUDA part where it lies beside the libtorch in use, once per process.
///
/// The binary is linked against libtorch's CPU part only, so one binary serves both kinds of
/// machine: loading the CUDA part is what registers the device. A missing or broken library is
/// reported in the result and is never an error here; [`device`] makes it one when CUDA was asked
/// for by name.
pub fn load_cuda() -> &'static CudaLibrary {
    static LIBRARY: OnceLock<CudaLibrary> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        if Cuda::is_available() {
            return CudaLibrary::Loaded;
        }
        let folder = folder_of_libtorch();
        let beside = folder.as_ref().map(|folder| folder.join(CUDA_LIBRARY));
        match beside.filter(|path| path.is_file()) {
            Some(path) => open_globally(&path).map_or_else(CudaLibrary::Broken, |()| CudaLibrary::Loaded),
            // The plain name asks the loader's own search path (LD_LIBRARY_PATH).
            None => open_globally(Path::new(CUDA_LIBRARY))
                .map_or(CudaLibrary::Absent(folder), |()| CudaLibrary::Loaded),
        }
    })
}

/// The folder from which this process has mapped `libtorch_cpu.so`.
fn folder_of_libtorch() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().find_map(|line| {
        line.find('/')
            .map(|start| &line[start..])
            .filter(|path| Path::new(path).file_name().is_some_and(|name| name == "libtorch_cpu.so"))
    })?;
    Path::new(path).parent().map(Path::to_owned)
}

#[cfg(unix)]
fn open_globally(path: &Path) -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    // SAFETY: the library is libtorch's own part, whose initialisers register kernels and nothing
    // else; it is never unloaded (the handle is forgotten), so nothing registered can dangle.
    let library = unsafe { Library::open(Some(path.as_os_str()), RTLD_NOW | RTLD_GLOBAL) };
    library.map(std::mem::forget).map_err(|error| error.to_string())
}

#[cfg(not(unix))]
fn open_globally(_: &Path) -> Result<(), String> {
    Err("libtorch's CUDA part is loaded at run time on Unix only".to_owned())
}

/// The device named by `choice`: `cpu`, `cuda`, `cuda:N`, or `auto` (the first GPU if there is one).
///
/// # Errors
/// An unknown name, or CUDA asked for by name on a machine where it is not to be had.
pub fn device(choice: &str) -> Result<Device, TorchError> {
    match choice {
        "cpu" => Ok(Device::Cpu),
        "auto" => Ok(cuda(0).unwrap_or(Device::Cpu)),
        "cuda" => cuda(0),
        _ => match choice.strip_prefix("cuda:").and_then(|index| index.parse().ok()) {
            Some(index) => cuda(index),
            None => Err(TorchError::UnknownDevice { given: choice.to_owned() }),
        },
    }
}

fn cuda(index: usize) -> Result<Device, TorchError> {
    let library = load_cuda();
    let count = usize::try_from(Cuda::device_count()).unwrap_or(0);
    if Cuda::is_available() && index < count {
        return Ok(Device::Cuda(index));
    }
    let (reason, remedy) = match library {
        CudaLibrary::Absent(folder) => {
            let place = folder.as_ref().map_or_else(
                || "beside the libtorch in use".to_owned(),
                |folder| format!("in {}", folder.display()),
            );
            (format!("there is no {CUDA_LIBRARY} {place}"), "point LIBTORCH at a CUDA build of libtorch 2.11")
        }
        CudaLibrary::Broken(reason) => (
            format!("{CUDA_LIBRARY} could not be loaded ({reason})"),
            "install the CUDA libraries that it names",
        ),
        CudaLibrary::Loaded if count == 0 => {
            ("libtorch finds no GPU".to_owned(), "check with nvidia-smi that a GPU and its driver are there")
        }
        CudaLibrary::Loaded => {
            (format!("there is no GPU number {index} among {count}"), "use a smaller number")
        }
    };
    Err(TorchError::NoCuda { reason, remedy })
}

/// Seeds libtorch's generators, on the CPU and on every GPU.
///
/// Our own draws do not come from them: initial values and noise are pure functions of a seed.
pub fn seed(seed: i64) {
    tch::manual_seed(seed);
}

/// How many threads libtorch uses inside one operation.
pub fn threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1)
}

/// Sets how many threads libtorch uses inside one operation.
pub fn set_threads(count: usize) {
    tch::set_num_threads(i32::try_from(count.max(1)).unwrap_or(i32::MAX));
}

/// The version of the libtorch that is loaded, such as `2.11.0`.
pub fn version() -> String {
    loaded_version().unwrap_or_else(|| BUILT_AGAINST.to_owned())
}

#[cfg(unix)]
fn loaded_version() -> Option<String> {
    use libloading::os::unix::Library;
    // SAFETY: part of libtorch's stable C interface: no arguments, the version in the top bytes.
    let packed =
        unsafe { Library::this().get::<unsafe extern "C" fn() -> u64>(b"aoti_torch_abi_version\0").ok()?() };
    let [major, minor, patch, ..] = packed.to_be_bytes();
    Some(format!("{major}.{minor}.{patch}"))
}

#[cfg(not(unix))]
fn loaded_version() -> Option<String> {
    None
}

/// A CPU tensor with the array's shape and values, in row-major order.
pub fn from_ndarray(array: ArrayViewD<'_, f32>) -> Tensor {
    let shape: Vec<i64> = array.shape().iter().map(|&length| length as i64).collect();
    let values = array.as_standard_layout();
    let slice = values.as_slice().expect("the standard layout is one slice");
    Tensor::from_slice(slice).view(shape.as_slice())
}

/// The tensor's values as f32 in row-major order, whatever its kind, layout and device.
///
/// # Errors
/// libtorch could not convert or copy it (an undefined tensor, a lost device).
pub fn to_ndarray(tensor: &Tensor) -> Result<ArrayD<f32>, TorchError> {
    let shape: Vec<usize> = tensor.size().iter().map(|&length| length as usize).collect();
    let values = to_vec::<f32>(tensor)?;
    Ok(ArrayD::from_shape_vec(IxDyn(&shape), values).expect("one value per element"))
}

/// The tensor's values as `T` in row-major order, whatever its kind, layout and device.
///
/// # Errors
/// libtorch could not convert or copy it (an undefined tensor, a lost device).
pub fn to_vec<T: Element + Copy>(tensor: &Tensor) -> Result<Vec<T>, TorchError> {
    if !tensor.defined() {
        return Err(TorchError::Libtorch("the tensor is undefined".to_owned()));
    }
    let flat = tensor.f_detach()?.f_to_kind(T::KIND)?;
    let mut values = vec![T::ZERO; flat.numel()];
    let count = values.len();
    flat.f_copy_data(&mut values, count)?;
    Ok(values)
}

/// Whether a 4-D tensor lies channels-last in memory (N, H, W, C) and not also row-major.
pub fn is_channels_last(tensor: &Tensor) -> bool {
    tensor.dim() == 4 && !tensor.is_contiguous() && tensor.permute([0, 2, 3, 1]).is_contiguous()
}

/// The same NCHW values, laid out channels-last in memory (N, H, W, C).
pub fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// `values` in the memory layout of `model`, which has the same shape: row-major or channels-last.
/// A network that runs channels-last then gets its gradients so, and need not convert them.
pub fn in_layout_of(model: &Tensor, values: &Tensor) -> Tensor {
    match (is_channels_last(model), is_channels_last(values)) {
        (true, false) => channels_last(values),
        (true, true) => values.shallow_clone(),
        (false, _) => values.contiguous(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    #[test]
    fn arrays_survive_the_round_trip_in_any_layout() {
        let array = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (100 * i + 10 * j + k) as f32);
        let turned = array.view().reversed_axes().into_dyn();
        let tensor = from_ndarray(turned.view());
        assert_eq!(tensor.size(), [4, 3, 2]);
        assert_eq!(to_ndarray(&tensor).unwrap(), turned);
        let transposed = tensor.transpose(0, 2);
        assert_eq!(to_ndarray(&transposed).unwrap(), array.into_dyn());
    }

    #[test]
    fn other_kinds_and_scalars_come_back_as_f32() {
        let doubles = Tensor::from_slice(&[1.5f64, -2.0]);
        assert_eq!(to_ndarray(&doubles).unwrap(), array![1.5f32, -2.0].into_dyn());
        let scalar = to_ndarray(&Tensor::from(3.0f32)).unwrap();
        assert_eq!(scalar.shape(), &[] as &[usize]);
        assert!(to_ndarray(&Tensor::new()).is_err());
    }

    #[test]
    fn channels_last_moves_memory_and_keeps_values() {
        let plain = Tensor::arange(2 * 3 * 4 * 5, (Kind::Float, Device::Cpu)).view([2, 3, 4, 5]);
        let last = channels_last(&plain);
        assert!(is_channels_last(&last) && !is_channels_last(&plain));
        assert_eq!(last.stride(), [60, 1, 15, 3]);
        assert_eq!(to_ndarray(&last).unwrap(), to_ndarray(&plain).unwrap());
    }

    #[test]
    fn an_error_of_libtorch_is_one_line() {
        let refused = Tensor::from_slice(&[1f32, 2.0]).f_add(&Tensor::from_slice(&[1f32; 3]));
        let error = TorchError::from(refused.unwrap_err()).to_string();
        assert!(error.starts_with("libtorch: The size of tensor a (2)"), "{error}");
        assert!(!error.contains('\n') && !error.contains("frame #"), "{error}");
    }

    #[test]
    fn devices_are_chosen_by_name() {
        assert_eq!(device("cpu").unwrap(), Device::Cpu);
        assert!(device("auto").is_ok());
        let unknown = device("gpu").unwrap_err().to_string();
        assert_eq!(unknown, "unknown device `gpu`: use cpu, cuda, cuda:N or auto");
        match device("cuda") {
            Ok(found) => assert!(found.is_cuda()),
            Err(error) => {
                let message = error.to_string();
                assert!(message.starts_with("device cuda is not available: "), "{message}");
                assert!(message.ends_with("or use --device cpu"), "{message}");
            }
        }
    }

    #[test]
    fn the_version_is_the_loaded_librarys() {
        assert_eq!(loaded_version().as_deref(), Some("2.11.0"));
        assert!(folder_of_libtorch().is_some_and(|folder| folder.join("libtorch_cpu.so").exists()));
    }

    #[test]
    fn one_seed_gives_one_sequence() {
        // The generator is the process's own; other tests may draw between, so only a retry that
        // never agrees is a failure.
        let draw = || {
            seed(7);
            to_vec::<f32>(&Tensor::rand([4], (Kind::Float, Device::Cpu))).unwrap()
        };
        assert!((0..20).any(|_| draw() == draw()));
    }
}
