//! Files of artifacts for Python: names are checked, files are staged and hashed, manifests get their digest.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use runlane_model::artifact::digest::{Algorithm, Hasher};
use runlane_model::artifact::manifest::digest_of;
use runlane_model::artifact::names;

use crate::artifact::held::{Held, is_small};
use crate::artifact::staging::{Staging, StagingError};
use crate::artifact::{hashing, parallel, tree};

/// How often a thread that waits for a digest looks for signals.
const LOOK: Duration = Duration::from_millis(50);

fn algorithm(name: &str) -> PyResult<Algorithm> {
    name.to_uppercase().parse().map_err(
        |error: runlane_model::artifact::digest::UnknownAlgorithm| {
            PyValueError::new_err(error.to_string())
        },
    )
}

/// An `OSError` with number and file name where the system gave one.
fn os_error(path: &Path, source: &std::io::Error) -> PyErr {
    match source.raw_os_error() {
        Some(number) => {
            let text = rustix::io::Errno::from_raw_os_error(number).to_string();
            // Without what Rust puts behind it.
            let text = text
                .split(" (os error")
                .next()
                .unwrap_or_default()
                .to_owned();
            PyOSError::new_err((number, text, path.as_os_str().to_owned()))
        }
        None => PyValueError::new_err(format!("`{}`: {source}", path.display())),
    }
}

fn staging_error(error: &StagingError) -> PyErr {
    os_error(&error.path, &error.source)
}

/// The text if it may be an artifact's `name`, `type`, `alias`, `tag`, entry `path` or `metadata`.
#[pyfunction]
pub(crate) fn check_artifact_text(kind: &str, text: String) -> PyResult<String> {
    let checked = match kind {
        "name" => names::check_artifact_name(&text),
        "type" => names::check_artifact_type(&text),
        "alias" => names::check_alias(&text),
        "tag" => names::check_tag(&text),
        "path" => names::check_entry_path(&text),
        "metadata" => names::check_metadata(&text),
        unknown => {
            let text = format!("there is no rule for `{unknown}`");
            return Err(PyValueError::new_err(text));
        }
    };
    checked
        .map(|()| text)
        .map_err(|error| PyValueError::new_err(error.to_string()))
}

/// The digest of a manifest with these paths and digests.
#[pyfunction]
pub(crate) fn manifest_digest(
    py: Python<'_>,
    mut entries: Vec<(String, String)>,
    algorithm: &str,
) -> PyResult<String> {
    let algorithm = self::algorithm(algorithm)?;
    Ok(py.detach(|| {
        entries.sort_unstable();
        let pairs = entries
            .iter()
            .map(|(path, digest)| (path.as_str(), digest.as_str()));
        digest_of(algorithm, pairs)
    }))
}

/// Regular files below a directory, and what was left out.
#[pyfunction]
#[pyo3(signature = (root, most, follow=true))]
pub(crate) fn list_tree(
    py: Python<'_>,
    root: PathBuf,
    most: usize,
    follow: bool,
) -> PyResult<(Vec<String>, Vec<String>)> {
    let tree =
        py.detach(move || tree::list(&root, most, follow))
            .map_err(|error| match &error {
                tree::TreeError::Unreadable { path, source } => os_error(path, source),
                _ => PyValueError::new_err(error.to_string()),
            })?;
    Ok((tree.files, tree.left_out))
}

/// Hashes pieces of bytes.
#[pyclass(frozen)]
pub(crate) struct Digester(Mutex<Hasher>);

#[pymethods]
impl Digester {
    #[new]
    fn new(algorithm: &str) -> PyResult<Self> {
        let hasher = Hasher::new(self::algorithm(algorithm)?);
        Ok(Self(Mutex::new(hasher)))
    }

    fn update(&self, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = data.py();
        let bytes: PyBackedBytes = match data.extract() {
            Ok(bytes) => bytes,
            // The stable interface of older Pythons does not show the memory of other buffers.
            Err(_) => py.get_type::<PyBytes>().call1((data,))?.extract()?,
        };
        py.detach(|| {
            let mut hasher = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            hasher.update(&bytes);
        });
        Ok(())
    }

    fn digest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let hasher = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        PyBytes::new(py, &hasher.finish().0)
    }
}

/// The 16 bytes of a file's digest.
#[pyfunction]
pub(crate) fn digest_file<'py>(
    py: Python<'py>,
    path: PathBuf,
    algorithm: &str,
) -> PyResult<Bound<'py, PyBytes>> {
    let algorithm = self::algorithm(algorithm)?;
    let digest = py
        .detach(move || hashing::hash_file(algorithm, &path).map_err(StagingError::at(&path)))
        .map_err(|error| staging_error(&error))?;
    Ok(PyBytes::new(py, &digest.0))
}

/// The part of the staging directory that this process has.
#[pyclass(frozen, name = "Staging")]
pub(crate) struct PyStaging(Arc<Staging>);

#[pymethods]
impl PyStaging {
    #[new]
    fn new(py: Python<'_>, root: PathBuf) -> PyResult<Self> {
        let opened = py.detach(move || Staging::open(&root));
        opened
            .map(|staging| Self(Arc::new(staging)))
            .map_err(|error| staging_error(&error))
    }

    #[getter]
    fn directory(&self) -> OsString {
        self.0.own().as_os_str().to_owned()
    }

    fn copy(
        &self,
        py: Python<'_>,
        paths: Vec<PathBuf>,
        algorithm: &str,
    ) -> PyResult<Vec<StagedFile>> {
        let algorithm = self::algorithm(algorithm)?;
        if let [path] = paths.as_slice()
            && is_small(path)
        {
            return py
                .detach(|| Held::copied(&self.0, path, algorithm, &|| true))
                .map(|held| vec![StagedFile::new(held)])
                .map_err(|error| staging_error(&error));
        }
        in_parallel(py, paths, |path, going_on| {
            Held::copied(&self.0, path, algorithm, going_on)
        })
    }

    #[staticmethod]
    fn leave(py: Python<'_>, paths: Vec<PathBuf>, algorithm: &str) -> PyResult<Vec<StagedFile>> {
        let algorithm = self::algorithm(algorithm)?;
        in_parallel(py, paths, |path, _| Held::left(path, algorithm))
    }

    fn adopt(&self, py: Python<'_>, path: PathBuf, algorithm: &str) -> PyResult<StagedFile> {
        let algorithm = self::algorithm(algorithm)?;
        py.detach(move || Held::adopted(&self.0, &path, algorithm))
            .map(StagedFile::new)
            .map_err(|error| staging_error(&error))
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

fn in_parallel(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    work: impl Fn(&Path, &dyn Fn() -> bool) -> Result<Held, StagingError> + Sync + Send,
) -> PyResult<Vec<StagedFile>> {
    let mut raised = None;
    let look = || {
        Python::attach(|py| raised = py.check_signals().err());
        raised.is_none()
    };
    let held = py.detach(move || {
        let work = |index: usize, going_on: &dyn Fn() -> bool| work(&paths[index], going_on);
        parallel::for_each(paths.len(), work, look)
    });
    if let Some(error) = raised {
        return Err(error);
    }
    let held = held.map_err(|error| match error.source.kind() {
        std::io::ErrorKind::Interrupted => PyKeyboardInterrupt::new_err(()),
        _ => staging_error(&error),
    })?;
    Ok(held.into_iter().map(StagedFile::new).collect())
}

/// A file of an artifact that is being made.
#[pyclass(frozen)]
pub(crate) struct StagedFile(Arc<Held>);

impl StagedFile {
    fn new(held: Held) -> Self {
        Self(Arc::new(held))
    }
}

#[pymethods]
impl StagedFile {
    #[getter]
    fn path(&self) -> OsString {
        self.0.path().into_os_string()
    }

    #[getter]
    fn size(&self) -> u64 {
        self.0.size
    }

    #[getter]
    fn is_hashed(&self) -> bool {
        self.0.job.ready().is_some()
    }

    fn digest(&self, py: Python<'_>) -> PyResult<String> {
        loop {
            let found = match self.0.job.ready() {
                Some(ready) => Some(ready),
                None => py.detach(|| self.0.job.wait(LOOK)),
            };
            match found {
                Some(Ok(digest)) => return Ok(digest.base64()),
                Some(Err(error)) => return Err(os_error(&self.0.path(), &error)),
                None => py.check_signals()?,
            }
        }
    }
}

/// Hands files over to the daemon; their paths.
#[pyfunction]
pub(crate) fn hand_over_files(
    py: Python<'_>,
    files: Vec<Bound<'_, StagedFile>>,
) -> PyResult<Vec<OsString>> {
    let files: Vec<Arc<Held>> = files
        .into_iter()
        .map(|file| Arc::clone(&file.get().0))
        .collect();
    py.detach(|| {
        files
            .iter()
            .map(|held| held.hand_over().map(PathBuf::into_os_string))
            .collect::<Result<Vec<_>, _>>()
    })
    .map_err(|error| staging_error(&error))
}
