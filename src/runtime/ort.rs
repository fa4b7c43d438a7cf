//! ONNX Runtime, loaded from a shared library when first used: the only file that names `ort`.
//!
//! `ort` panics when it has to load the library by itself, so nothing of it is called before
//! `library` has succeeded. Execution providers other than the CPU's and CUDA's are deliberately absent.

use std::error::Error as _;
use std::ffi::CStr;
use std::path::Path;
use std::sync::OnceLock;

use ::ort::environment::Environment;
use ::ort::ep::{CUDA, ExecutionProvider};
use ::ort::logging::LogLevel;
use ::ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ::ort::session::{Session as OrtSession, SessionInputValue};
use ::ort::value::{TensorElementType, TensorRef};
use ndarray::{ArrayD, ArrayViewD};

use super::failure::{LOAD, RUN, first_line, guarded};
use super::signature::{Signature, load_failed, without_idle_inputs};
use super::{Kind, Runtime, RuntimeError, Session};
use crate::environment::onnxruntime::{Candidate, VARIABLE, find};
use crate::onnx::{self, Model};

/// How sessions are prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Threads that share the work of one operator; `None` is one per physical core.
    pub threads: Option<usize>,
    /// Whether the graph is optimised (fused, laid out for the processor) before it runs.
    pub optimise: bool,
    /// Whether it runs on an NVIDIA GPU instead of the processor.
    pub cuda: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { threads: None, optimise: true, cuda: false }
    }
}

impl Options {
    /// What reports call a runtime of these options.
    fn kind(self) -> Kind {
        match self {
            Options { cuda: true, .. } => Kind::OrtCuda,
            Options { optimise: false, .. } => Kind::OrtPlain,
            Options { .. } => Kind::Ort,
        }
    }
}

/// ONNX Runtime.
#[derive(Debug)]
pub struct Ort {
    library: &'static Library,
    options: Options,
}

impl Ort {
    /// Loads the library, the first time, and stands ready to make sessions.
    pub fn open(options: Options) -> Result<Self, RuntimeError> {
        let kind = options.kind();
        let library = library().map_err(|reason| RuntimeError::Unavailable { kind, reason })?;
        if options.cuda && !CUDA::is_available().unwrap_or(false) {
            let reason = "the ONNX Runtime that was loaded has no CUDA provider; `pip install \
                          onnxruntime-gpu` on a machine with an NVIDIA GPU, and set ORT_DYLIB_PATH to its \
                          onnxruntime/capi/libonnxruntime.so.1.*";
            return Err(RuntimeError::Unavailable { kind, reason: reason.into() });
        }
        Ok(Self { library, options })
    }

    fn builder(&self) -> ::ort::Result<SessionBuilder> {
        let level = match self.options.optimise {
            true => GraphOptimizationLevel::All,
            false => GraphOptimizationLevel::Disable,
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
        if !self.options.cuda {
            return Ok(builder);
        }
        // TF32 would round a convolution's factors to ten bits, and a gradient's finite differences with them.
        let cuda = CUDA::default().with_tf32(false).build().error_on_failure();
        Ok(builder.with_execution_providers([cuda])?)
    }
}

impl Runtime for Ort {
    fn kind(&self) -> Kind {
        self.options.kind()
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

/// What ONNX Runtime says, in one line: the node it was at, without the source file it says so in.
fn told(error: ::ort::Error) -> String {
    let message = first_line(error.message());
    let at_node = message.strip_prefix("Non-zero status code returned while running ").and_then(|rest| {
        let (operator, rest) = rest.split_once(" node. Name:'")?;
        let (name, status) = rest.split_once("' Status Message: ")?;
        Some(format!("{operator} node `{name}`: {}", without_source(status)))
    });
    at_node.unwrap_or_else(|| without_source(message).to_owned())
}

/// Cuts off where in ONNX Runtime's source a message was made: a file with its line, a function
/// with its types, and the condition that did not hold.
fn without_source(message: &str) -> &str {
    let mut rest = message.strip_prefix("Exception during initialization: ").unwrap_or(message);
    if let Some((file, after)) = rest.split_once(' ') {
        rest = if file.contains(".h:") || file.contains(".cc:") { after } else { rest };
    }
    if let Some((_, told)) = rest.split_once(" was false. ") {
        return told;
    }
    if rest.split(' ').take(3).any(|word| word.contains("onnxruntime::")) {
        rest = rest.split_once(") ").map_or(rest, |(_, after)| after);
    }
    rest
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn messages_lose_their_place_in_the_source() {
        let cases = [
            ("Incompatible dimensions", "Incompatible dimensions"),
            (
                "/src/core/reshape.h:91 onnxruntime::Reshape(int, bool) a == b was false. No match.",
                "No match.",
            ),
            ("void onnxruntime::Model::Check(const std::string&, int) Opset 99 is new", "Opset 99 is new"),
        ];
        for (message, told) in cases {
            assert_eq!(without_source(message), told);
        }
    }

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
