//! ONNX Runtime, loaded from a shared library when first used: the only file that names `ort`.
//!
//! `ort` panics when it has to load the library by itself, so nothing of it is called before
//! `library` has succeeded. Execution providers other than the
//! CPU's, CUDA's and OpenVINO's are deliberately absent.

mod message;

use std::error::Error as _;
use std::ffi::CStr;
use std::path::Path;
use std::sync::OnceLock;

use ::ort::environment::Environment;
use ::ort::ep::{CUDA, ExecutionProvider, OpenVINO};
use ::ort::logging::LogLevel;
use ::ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ::ort::session::{Session as OrtSession, SessionInputValue};
use ::ort::value::{TensorElementType, TensorRef};
use ndarray::{ArrayD, ArrayViewD};

use super::failure::{LOAD, RUN, first_line, guarded};
use super::kind::{Setting, Settings};
use super::signature::{Signature, load_failed, without_idle_inputs};
use super::table::Row;
use super::{Kind, Runtime, RuntimeError, Session};
use crate::environment::onnxruntime::{Candidate, VARIABLE, find};
use crate::onnx::{self, Model};
use message::readable;

impl Kind {
    /// ONNX Runtime on the CPU, loaded when first used.
    pub const ORT: Kind = Kind::named("ort");
    /// The same, running the graph as it is written: nothing fused, nothing laid out anew.
    pub const ORT_PLAIN: Kind = Kind::named("ort-plain");
    /// ONNX Runtime on an NVIDIA GPU, where its library was built for one.
    pub const ORT_CUDA: Kind = Kind::named("ort-cuda");
}

pub(super) const ROW: Row = Row {
    name: "ort",
    help: "ONNX Runtime",
    settings: &[
        Setting::flag("cuda", &["openvino"]),
        Setting { needs: Some("cuda"), ..Setting::one_of("tf32", &["on", "off"]) },
        Setting::flag("openvino", &["cuda"]),
        Setting::one_of("opt", &["none", "basic", "extended", "all"]),
        Setting::count("threads"),
    ],
    short: &[("ort-plain", "opt=none"), ("ort-cuda", "cuda")],
    audits_by_default: true,
    open: |kind, settings| Ok(Box::new(Ort::named(kind, Options::of(settings))?)),
};

/// How much of the graph ONNX Runtime rewrites before it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Nothing: the graph runs as it is written.
    None,
    /// Folding and elimination that any provider understands.
    Basic,
    /// Fusions into its own operators as well.
    Extended,
    /// Memory layouts of the processor as well.
    #[default]
    All,
}

/// Where ONNX Runtime computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provider {
    /// Its own kernels on the processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda {
        /// Whether convolutions and products may round their factors to TF32's ten bits.
        tf32: bool,
    },
    /// Intel's OpenVINO on the processor; what it lacks runs on ONNX Runtime's own kernels.
    OpenVino,
}

/// How sessions are prepared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Threads that share the work of one operator; `None` is one per physical core.
    pub threads: Option<usize>,
    /// How much of the graph is rewritten first.
    pub level: Level,
    /// Where it runs.
    pub provider: Provider,
}

impl Options {
    fn of(settings: &Settings) -> Self {
        let level = match settings.get("opt") {
            Some("none") => Level::None,
            Some("basic") => Level::Basic,
            Some("extended") => Level::Extended,
            _ => Level::All,
        };
        let provider = match (settings.has("cuda"), settings.has("openvino")) {
            (true, _) => Provider::Cuda { tf32: settings.has("tf32") },
            (_, true) => Provider::OpenVino,
            _ => Provider::Cpu,
        };
        Self { threads: settings.count("threads"), level, provider }
    }

    /// What reports call a runtime of these options.
    fn name(self) -> String {
        let mut settings: Vec<String> = Vec::new();
        match self.provider {
            Provider::Cpu => {}
            Provider::Cuda { tf32 } => {
                settings.push(format!("cuda,tf32={}", if tf32 { "on" } else { "off" }))
            }
            Provider::OpenVino => settings.push("openvino".into()),
        }
        settings.push(format!("opt={}", format!("{:?}", self.level).to_lowercase()));
        settings.extend(self.threads.map(|threads| format!("threads={threads}")));
        format!("ort:{}", settings.join(","))
    }
}

/// ONNX Runtime.
#[derive(Debug)]
pub struct Ort {
    kind: Kind,
    library: &'static Library,
    options: Options,
}

impl Ort {
    /// Loads the library, the first time, and stands ready to make sessions.
    ///
    /// # Errors
    /// [`RuntimeError::Unavailable`] where there is no library, or it lacks the provider.
    pub fn open(options: Options) -> Result<Self, RuntimeError> {
        Self::named(options.name().parse().unwrap_or(Kind::ORT), options)
    }

    fn named(kind: Kind, options: Options) -> Result<Self, RuntimeError> {
        let unavailable = |reason| RuntimeError::Unavailable { kind, reason };
        let library = library().map_err(unavailable)?;
        let lacks = match options.provider {
            Provider::Cuda { .. } if !CUDA::is_available().unwrap_or(false) => {
                Some(("CUDA", "`pip install onnxruntime-gpu` on a machine with an NVIDIA GPU"))
            }
            Provider::OpenVino if !OpenVINO::is_available().unwrap_or(false) => {
                Some(("OpenVINO", "`pip install onnxruntime-openvino`"))
            }
            _ => None,
        };
        match lacks {
            Some((provider, install)) => Err(unavailable(format!(
                "the ONNX Runtime that was loaded has no {provider} provider; {install}, and set {VARIABLE} to \
                 its onnxruntime/capi/libonnxruntime.so.1.*"
            ))),
            None => Ok(Self { kind, library, options }),
        }
    }

    fn builder(&self) -> ::ort::Result<SessionBuilder> {
        let level = match self.options.level {
            Level::None => GraphOptimizationLevel::Disable,
            Level::Basic => GraphOptimizationLevel::Level1,
            Level::Extended => GraphOptimizationLevel::Level2,
            Level::All => GraphOptimizationLevel::All,
        };
        // Errors come back as values and are told once; the session need not print them as well.
        // Memory patterns double the peak, for the second run plans its memory beside what the first
        // still holds, and measured no faster. Threads that spin while they wait take the cores from whatever
        // else wants them, the next runtime included: on two busy cores steps took 1.2 to 1.8 times as long.
        let builder = OrtSession::builder(&self.library.environment)?
            .with_log_level(LogLevel::Fatal)?
            .with_optimization_level(level)?
            .with_memory_pattern(false)?
            .with_intra_op_spinning(false)?;
        let builder = match self.options.threads {
            Some(threads) => builder.with_intra_threads(threads)?,
            None => builder,
        };
        let provider = match self.options.provider {
            Provider::Cpu => return Ok(builder),
            // TF32 would round a gradient's finite differences with the factors, so it is off by default.
            Provider::Cuda { tf32 } => CUDA::default().with_tf32(tf32).build(),
            Provider::OpenVino => OpenVINO::default().with_device_type("CPU").build(),
        };
        Ok(builder.with_execution_providers([provider.error_on_failure()])?)
    }
}

impl Runtime for Ort {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn version(&self) -> String {
        self.library.version.clone()
    }

    fn load(&self, model: &Model) -> Result<Box<dyn Session>, RuntimeError> {
        let kind = self.kind();
        let signature = Signature::of(model, kind)?;
        let bytes = onnx::to_bytes(&without_idle_inputs(model));
        let session = guarded(kind, LOAD, told, || self.builder()?.commit_from_memory(&bytes))?;
        let odd = session
            .outputs()
            .iter()
            .find(|outlet| outlet.dtype().tensor_type() != Some(TensorElementType::Float32));
        if let Some(outlet) = odd {
            let reason = format!("output `{}` is {}, not float32", outlet.name(), outlet.dtype());
            return Err(load_failed(kind, reason));
        }
        Ok(Box::new(Prepared { session, signature, kind }))
    }
}

struct Prepared {
    session: OrtSession,
    signature: Signature,
    kind: Kind,
}

impl Session for Prepared {
    fn run(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> Result<Vec<ArrayD<f32>>, RuntimeError> {
        self.signature.check(inputs)?;
        guarded(self.kind, RUN, told, || self.compute(inputs))
    }
}

impl Prepared {
    fn compute(&mut self, inputs: &[ArrayViewD<'_, f32>]) -> ::ort::Result<Vec<ArrayD<f32>>> {
        let dense: Vec<_> = inputs.iter().map(|input| input.as_standard_layout()).collect();
        let mut feeds = Vec::with_capacity(dense.len());
        for (input, dense) in self.signature.inputs.iter().zip(&dense) {
            let value = SessionInputValue::from(TensorRef::from_array_view(dense)?);
            feeds.push((input.name.as_str(), value));
        }
        let outputs = self.session.run(feeds)?;
        let names = self.signature.outputs.iter();
        names.map(|name| Ok(outputs[name.as_str()].try_extract_array::<f32>()?.to_owned())).collect()
    }
}

/// The library, once it is loaded and has an environment; it stays until the process ends.
#[derive(Debug)]
struct Library {
    environment: Environment,
    version: String,
}

/// Loads the library when first called; later calls share it, or fail as the first did.
fn library() -> Result<&'static Library, String> {
    static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        let candidate = find();
        start(&candidate).map_err(|reason| unavailable(&candidate, &reason))
    });
    library.as_ref().map_err(String::clone)
}

fn start(candidate: &Candidate) -> Result<Library, String> {
    let version = version_of(candidate.path())?;
    let environment =
        ::ort::init_from(candidate.path()).map_err(|error| first_line(&error.to_string()).to_owned())?;
    let environment = environment.with_name("temper").with_telemetry(false).build();
    Ok(Library { environment: environment.map_err(told)?, version })
}

/// The version that the library states, if it is an ONNX Runtime and new enough. `ort` would
/// refuse the others too, but keeps the version to itself.
fn version_of(path: &Path) -> Result<String, String> {
    // SAFETY: loading runs the library's own initialisers; that the file is to be trusted is for
    // whoever installed it, or named it, to know.
    let library = unsafe { libloading::Library::new(path) };
    let library = library.map_err(|error| {
        // The system's words are behind those of the crate; they start with the path.
        let words = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        let words = first_line(&words);
        words.strip_prefix(&format!("{}: ", path.display())).unwrap_or(words).to_owned()
    })?;
    type ApiBase = unsafe extern "C" fn() -> *const ::ort::sys::OrtApiBase;
    // SAFETY: ONNX Runtime's C API gives this symbol this type in every version.
    let base = unsafe { library.get::<ApiBase>(b"OrtGetApiBase\0") };
    let base = base.map_err(|_| "it is a library, but not ONNX Runtime".to_owned())?;
    // SAFETY: the symbol takes nothing and gives a pointer to a static struct, or null; the
    // struct's function gives a static string that ends in a zero. It is copied at once.
    let version = unsafe {
        base().as_ref().map(|base| CStr::from_ptr((base.GetVersionString)()).to_string_lossy().into_owned())
    };
    let version = version.ok_or("it offers no API")?;
    let minor: u32 = version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0);
    if minor < ::ort::MINOR_VERSION {
        let needed = ::ort::MINOR_VERSION;
        return Err(format!("it is ONNX Runtime {version}, and Temper needs 1.{needed} or newer"));
    }
    // `ort` opens it again: unloading it in between would be work for nothing.
    std::mem::forget(library);
    Ok(version)
}

/// Why there is no ONNX Runtime, and how to get one.
fn unavailable(candidate: &Candidate, reason: &str) -> String {
    let path = candidate.path().display();
    let found = match candidate {
        Candidate::Named(_) => format!("{VARIABLE} names `{path}`, which cannot be used: {reason}"),
        Candidate::Found(_) => format!("`{path}` cannot be used: {reason}"),
        Candidate::System(_) => format!("none was found, and the system's `{path}` cannot be used: {reason}"),
    };
    format!(
        "{found}; `pip install onnxruntime` into this Python environment, or run `make setup` in a checkout, or \
         set {VARIABLE} to a libonnxruntime.so"
    )
}

fn told(error: ::ort::Error) -> String {
    readable(error.message())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Compiles a shared library and asks it for its version.
    fn version_of_source(source: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let (code, library) = (folder.path().join("x.rs"), folder.path().join("libx.so"));
        std::fs::write(&code, source).unwrap();
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition=2024", "--crate-type=cdylib", "-o"]).arg(&library).arg(&code);
        assert!(rustc.status().unwrap().success());
        version_of(&library)
    }

    /// A library with ONNX Runtime's entry point that states a version and can do nothing.
    fn hollow(version: &str) -> String {
        format!(
            r#"
            #[repr(C)] pub struct Base(usize, extern "C" fn() -> *const u8);
            extern "C" fn version() -> *const u8 {{ b"{version}\0".as_ptr() }}
            static BASE: Base = Base(0, version);
            #[unsafe(no_mangle)] pub extern "C" fn OrtGetApiBase() -> &'static Base {{ &BASE }}"#
        )
    }

    #[test]
    fn other_libraries_and_old_ones_are_refused() {
        assert_eq!(version_of_source("").unwrap_err(), "it is a library, but not ONNX Runtime");
        let old = version_of_source(&hollow("1.20.1")).unwrap_err();
        assert_eq!(old, "it is ONNX Runtime 1.20.1, and Temper needs 1.24 or newer");
        assert_eq!(version_of_source(&hollow("1.99.0")).unwrap(), "1.99.0");
    }

    #[test]
    fn a_file_that_is_no_library_is_named_with_the_remedy() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello").unwrap();
        let candidate = Candidate::Named(file.path().into());
        let message = unavailable(&candidate, &version_of(file.path()).unwrap_err());
        let path = file.path().display();
        let start = format!("ORT_DYLIB_PATH names `{path}`, which cannot be used: ");
        assert!(message.starts_with(&start) && message.contains("make setup"), "{message}");
        assert!(message.contains("too short"), "{message}");
        assert_eq!(message.matches(&path.to_string()).count(), 1, "{message}");
    }
}
