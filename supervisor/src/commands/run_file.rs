//! `codejail run FILE`: one execution, as a request would have it, for people who write or debug
//! code.

use crate::boot::{self, BootError};
use crate::config::Config;
use crate::python_json::scan::{self, JsonType};
use crate::request::answer::Answer;
use crate::request::execute_own;
use crate::request::payload::Form;
use crate::service::Service;
use axum::body::Bytes;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What to run, as it was typed.
#[derive(Debug)]
pub struct Request {
    /// The code; `-` is standard input.
    pub file: PathBuf,
    /// A JSON object, or `@` and the name of a file with one.
    pub globals: String,
    /// The course's library.
    pub python_lib: Option<PathBuf>,
    /// The context that picks the limits.
    pub context: Option<String>,
}

/// How the execution ended.
#[derive(Debug)]
pub enum Ran {
    /// The globals, as JSON.
    Globals(String),
    /// It failed: the text that the author reads.
    Failed(String),
    /// It could not be run.
    Refused(String),
    /// The safety checks did not pass, so nothing was run: which checks failed, and why.
    Unsafe(Vec<String>),
}

/// Why a request can't be made.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file that was named can't be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, #[source] std::io::Error),
    /// Code and globals must be UTF-8.
    #[error("{0}: it is not UTF-8")]
    Encoding(PathBuf),
    /// The globals are not a JSON object.
    #[error("--globals: must be a JSON object, such as {{\"seed\": 1}}, or @FILE with one: {0}")]
    Globals(String),
}

impl RunError {
    /// The exit status by sysexits(3): EX_NOINPUT, EX_DATAERR.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Read(..) => 66,
            Self::Encoding(_) | Self::Globals(_) => 65,
        }
    }
}

/// Makes the form that a client would post. This is done first, while the process is still the user
/// who typed the names.
///
/// # Errors
/// A file can't be read, or its content can't be posted.
pub fn form(request: &Request) -> Result<Form, RunError> {
    let code = text(&request.file)?;
    let globals = match request.globals.strip_prefix('@') {
        Some(file) => text(Path::new(file))?,
        None => request.globals.clone(),
    };
    // The text goes into the payload as it is, since no type here could hold Python's numbers.
    match scan::scan(&globals) {
        Ok(value) if value.kind() == JsonType::Object => {}
        Ok(_) => return Err(RunError::Globals("it is another value".to_owned())),
        Err(error) => return Err(RunError::Globals(error.to_string())),
    }
    let json = |value: &dyn ToString| serde_json::Value::from(value.to_string());
    let context = request.context.as_ref().map(|name| json(name));
    let path = request.python_lib.as_ref().map(|_| "python_lib.zip");
    let payload = format!(
        "{{\"code\":{},\"globals_dict\":{globals},\"python_path\":{},\
         \"limit_overrides_context\":{},\"slug\":{}}}",
        json(&code),
        serde_json::json!(path.as_slice()),
        serde_json::json!(context),
        json(&request.file.display()),
    );
    let form = Form::of_payload(payload);
    match &request.python_lib {
        None => Ok(form),
        Some(path) => Ok(form.with_python_lib(Bytes::from(bytes(path)?))),
    }
}

/// Executes the form in a sandbox that is started for it, if the safety checks pass.
///
/// # Errors
/// No sandbox could be started.
pub fn run(config: Config, form: &Form) -> Result<Ran, BootError> {
    boot::run(config.for_tool(), async |host| {
        let service = host.service();
        let work = async {
            host.boot(&service).await?;
            if !service.health.is_safe() {
                return Ok(Ran::Unsafe(failures(&service)));
            }
            Ok(match execute_own(&service, form, &host.config).await {
                Answer::Success(globals) => Ran::Globals(globals),
                Answer::Failure { emsg, .. } => Ran::Failed(emsg),
                Answer::Rejected(rejection) => Ran::Refused(rejection.to_string()),
                answer => Ran::Unsafe(vec![format!("{answer:?}")]),
            })
        };
        host.ending.unless(work).await
    })
}

/// A line for each check that failed.
fn failures(service: &Service) -> Vec<String> {
    let checks = service.health.checks().into_iter();
    let failed = checks.filter_map(|check| Some(format!("{}: {}", check.id, check.failure?)));
    failed.collect()
}

fn bytes(path: &Path) -> Result<Vec<u8>, RunError> {
    let read = if path == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin().read_to_end(&mut bytes);
        read.map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    read.map_err(|error| RunError::Read(path.to_owned(), error))
}

fn text(path: &Path) -> Result<String, RunError> {
    String::from_utf8(bytes(path)?).map_err(|_| RunError::Encoding(path.to_owned()))
}
