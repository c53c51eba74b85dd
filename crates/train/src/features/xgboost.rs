//! The XGBoost library, loaded where it is installed: the few calls of its C interface that grow trees. One of the
//! few places that need `unsafe`.
//!
//! <https://xgboost.readthedocs.io/en/stable/c.html>, the same from version 1.7 to 3.

use crate::{Error, Result};
use libloading::Symbol;
use std::error::Error as _;
use std::ffi::{CStr, CString, c_char, c_float, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use std::slice;

/// Where the system's loader finds it.
const NAME: &str = if cfg!(windows) {
    "xgboost.dll"
} else if cfg!(target_os = "macos") {
    "libxgboost.dylib"
} else {
    "libxgboost.so"
};

type Handle = *mut c_void;

/// The library.
pub struct Library(libloading::Library);

impl Library {
    /// Loads it from the first of these files that is there, or else from where the system's loader finds it.
    ///
    /// # Errors
    /// If it is nowhere, or a file is not it: the message says how to get it.
    pub fn load(places: &[PathBuf]) -> Result<Self> {
        let found = places.iter().find(|place| place.is_file());
        let path = found.map_or(Path::new(NAME), PathBuf::as_path);
        // SAFETY: loading runs the library's initialisers. The path is one that the person at the machine installed
        // it under or named; no model, adapter or recipe can give one.
        #[allow(unsafe_code)]
        let library = unsafe { libloading::Library::new(path) };
        let library = library.map(Self).map_err(|error| {
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            Error::invalid(format!(
                "the XGBoost library cannot be loaded: {reason}; install it with `pip install xgboost` (or \
                 `xgboost-cpu`), or name the file in OFFSHOOT_XGBOOST"
            ))
        })?;
        // A library of that name that is another is found out now.
        library.symbol::<LastError>(b"XGBGetLastError\0")?;
        Ok(library)
    }

    fn symbol<T>(&self, name: &'static [u8]) -> Result<Symbol<'_, T>> {
        // SAFETY: each type stands beside its name in this file, as XGBoost's c_api.h declares it.
        #[allow(unsafe_code)]
        let symbol = unsafe { self.0.get::<T>(name) };
        symbol.map_err(|error| Error::invalid(format!("this is not an XGBoost library: {error}")))
    }

    /// What a call returned, with the library's own words if it failed.
    fn check(&self, what: &str, code: c_int) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        let last = self.symbol::<LastError>(b"XGBGetLastError\0")?;
        // SAFETY: the library returns a text of its own that lasts until the thread's next call.
        #[allow(unsafe_code)]
        let words = unsafe { CStr::from_ptr(last()) }.to_string_lossy().into_owned();
        let words = words.lines().next().unwrap_or_default().to_owned();
        Err(Error::invalid(format!("XGBoost could not {what}: {words}")))
    }
}

type LastError = unsafe extern "C" fn() -> *const c_char;
type CreateMatrix = unsafe extern "C" fn(*const c_float, u64, u64, c_float, *mut Handle) -> c_int;
type SetInfo = unsafe extern "C" fn(Handle, *const c_char, *const c_float, u64) -> c_int;
type Free = unsafe extern "C" fn(Handle) -> c_int;
type CreateBooster = unsafe extern "C" fn(*const Handle, u64, *mut Handle) -> c_int;
type SetParam = unsafe extern "C" fn(Handle, *const c_char, *const c_char) -> c_int;
type Update = unsafe extern "C" fn(Handle, c_int, Handle) -> c_int;
type Predict = unsafe extern "C" fn(
    Handle,
    Handle,
    *const c_char,
    *mut *const u64,
    *mut u64,
    *mut *const c_float,
) -> c_int;
type Save = unsafe extern "C" fn(Handle, *const c_char, *mut u64, *mut *const c_char) -> c_int;

/// Rows as the library holds them: a copy of its own.
pub(super) struct Matrix<'a> {
    library: &'a Library,
    handle: Handle,
    rows: usize,
}

impl<'a> Matrix<'a> {
    fn new(library: &'a Library, rows: &[Vec<f32>]) -> Result<Self> {
        let columns = rows.first().map_or(0, Vec::len);
        let values: Vec<f32> = rows.iter().flat_map(|row| row.iter().copied()).collect();
        if values.len() != rows.len() * columns {
            return Err(Error::invalid("rows of features are of one length"));
        }
        let create = library.symbol::<CreateMatrix>(b"XGDMatrixCreateFromMat\0")?;
        let mut handle = null_mut();
        let size = (rows.len() as u64, columns as u64);
        // SAFETY: `values` has rows × columns floats, which the library copies before it returns.
        #[allow(unsafe_code)]
        let code = unsafe { create(values.as_ptr(), size.0, size.1, f32::NAN, &mut handle) };
        library.check("take the features", code)?;
        Ok(Self { library, handle, rows: rows.len() })
    }

    fn label(&self, labels: &[u32]) -> Result<()> {
        let labels: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
        let set = self.library.symbol::<SetInfo>(b"XGDMatrixSetFloatInfo\0")?;
        // SAFETY: the handle is a matrix's; the name ends in zero; the labels are copied before it returns.
        #[allow(unsafe_code)]
        let code = unsafe { set(self.handle, c"label".as_ptr(), labels.as_ptr(), labels.len() as u64) };
        self.library.check("take the labels", code)
    }

    /// What the trees that there are say of the rows: the sums over leaves, one per class.
    pub(super) fn logits(&mut self, booster: &Booster<'_>) -> Result<Vec<Vec<f32>>> {
        // Type 1 are the sums themselves.
        let settings = CString::new(
            r#"{"type":1,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":true}"#,
        )
        .map_err(|error| Error::invalid(error.to_string()))?;
        let predict = self.library.symbol::<Predict>(b"XGBoosterPredictFromDMatrix\0")?;
        let (mut shape, mut dimensions, mut values) = (null(), 0_u64, null());
        // SAFETY: both handles are alive; the library writes where its answer is.
        #[allow(unsafe_code)]
        let code = unsafe {
            predict(booster.handle, self.handle, settings.as_ptr(), &mut shape, &mut dimensions, &mut values)
        };
        self.library.check("answer", code)?;
        // SAFETY: the shape has as many numbers as it says, and the values are as many as the shape says; both last
        // until the booster's next call, and are copied before.
        #[allow(unsafe_code)]
        let (shape, values) = unsafe {
            let shape = slice::from_raw_parts(shape, dimensions as usize);
            (shape, slice::from_raw_parts(values, shape.iter().product::<u64>() as usize))
        };
        match shape {
            [rows, classes] if *rows as usize == self.rows && *classes > 0 => {
                Ok(values.chunks(*classes as usize).map(<[f32]>::to_vec).collect())
            }
            _ => Err(Error::invalid(format!("XGBoost answered in the shape {shape:?}"))),
        }
    }
}

impl Drop for Matrix<'_> {
    fn drop(&mut self) {
        if let Ok(free) = self.library.symbol::<Free>(b"XGDMatrixFree\0") {
            // SAFETY: the handle is this matrix's, and nothing uses it any more.
            #[allow(unsafe_code)]
            unsafe {
                free(self.handle)
            };
        }
    }
}

/// Trees while they grow.
pub(super) struct Booster<'a> {
    library: &'a Library,
    handle: Handle,
    /// The rows that they grow on, which outlive the booster.
    rows: Matrix<'a>,
    rounds: c_int,
}

impl<'a> Booster<'a> {
    /// No tree yet, for these rows.
    pub(super) fn new(
        library: &'a Library,
        (features, labels): (&[Vec<f32>], &[u32]),
        settings: &[(&str, String)],
    ) -> Result<Self> {
        let rows = Matrix::new(library, features)?;
        rows.label(labels)?;
        let create = library.symbol::<CreateBooster>(b"XGBoosterCreate\0")?;
        let mut handle = null_mut();
        // SAFETY: one handle is given, of a matrix that lives as long as the booster.
        #[allow(unsafe_code)]
        let code = unsafe { create(&rows.handle, 1, &mut handle) };
        library.check("begin", code)?;
        let booster = Self { library, handle, rows, rounds: 0 };
        settings.iter().try_for_each(|(name, value)| booster.set(name, value))?;
        Ok(booster)
    }

    fn set(&self, name: &str, value: &str) -> Result<()> {
        let text = |text: &str| CString::new(text).map_err(|error| Error::invalid(error.to_string()));
        let (key, value) = (text(name)?, text(value)?);
        let set = self.library.symbol::<SetParam>(b"XGBoosterSetParam\0")?;
        // SAFETY: the handle is alive, and both texts end in zero and are copied.
        #[allow(unsafe_code)]
        let code = unsafe { set(self.handle, key.as_ptr(), value.as_ptr()) };
        self.library.check(&format!("take the setting {name}"), code)
    }

    /// Grows one more tree for each class.
    pub(super) fn round(&mut self) -> Result<()> {
        let update = self.library.symbol::<Update>(b"XGBoosterUpdateOneIter\0")?;
        // SAFETY: both handles are alive.
        #[allow(unsafe_code)]
        let code = unsafe { update(self.handle, self.rounds, self.rows.handle) };
        self.rounds += 1;
        self.library.check("grow a tree", code)
    }

    /// Rows to ask the trees about.
    pub(super) fn ask(&self, rows: &[Vec<f32>]) -> Result<Matrix<'a>> {
        Matrix::new(self.library, rows)
    }

    /// The model as JSON.
    pub(super) fn model(&self) -> Result<String> {
        let save = self.library.symbol::<Save>(b"XGBoosterSaveModelToBuffer\0")?;
        let (mut length, mut bytes) = (0_u64, null());
        // SAFETY: the handle is alive; the library writes where its text is and how long.
        #[allow(unsafe_code)]
        let code = unsafe { save(self.handle, c"{\"format\":\"json\"}".as_ptr(), &mut length, &mut bytes) };
        self.library.check("write its model", code)?;
        // SAFETY: there are `length` bytes, which last until the booster's next call and are copied before.
        #[allow(unsafe_code)]
        let bytes = unsafe { slice::from_raw_parts(bytes.cast::<u8>(), length as usize) };
        String::from_utf8(bytes.to_vec()).map_err(|error| Error::invalid(format!("XGBoost's model: {error}")))
    }
}

impl Drop for Booster<'_> {
    fn drop(&mut self) {
        if let Ok(free) = self.library.symbol::<Free>(b"XGBoosterFree\0") {
            // SAFETY: the handle is this booster's, and nothing uses it any more.
            #[allow(unsafe_code)]
            unsafe {
                free(self.handle)
            };
        }
    }
}
