//! Compiles `tests/faults/shim.c`, and controls it.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::Failure;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/shim.c");

/// The numbers of `struct control`, in its order.
#[derive(Clone, Copy)]
enum Control {
    ClockSeconds,
    FailingSyncs,
    WriteError,
    Syncs,
    Failures,
    SparesLog,
}

const CONTROLS: usize = 6;

/// An error of a write.
#[derive(Clone, Copy)]
pub(crate) enum WriteError {
    /// ENOSPC.
    Full = 28,
    /// EIO.
    Disk = 5,
    /// EROFS.
    ReadOnly = 30,
}

/// A shim that is loaded into the servers of one site.
pub(crate) struct Shim {
    library: PathBuf,
    control: File,
    control_path: PathBuf,
    folder: PathBuf,
    durable: PathBuf,
}

/// Compiles the shim once. The error is the reason why there is none.
fn library() -> Result<PathBuf, String> {
    static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let compile = || {
        if !cfg!(target_os = "linux") {
            return Err("LD_PRELOAD needs Linux".to_owned());
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults-shim.so");
        let part = target.with_extension(std::process::id().to_string());
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", SOURCE, "-o"])
            .arg(&part)
            .output()
            .map_err(|error| format!("there is no C compiler (cc): {error}"))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the shim: {errors}");
        fs::rename(&part, &target).map_err(|error| error.to_string())?;
        Ok(target)
    };
    LIBRARY.get_or_init(compile).clone()
}

impl Shim {
    /// A shim for the files in `folder`. Its own files are in `root`.
    pub(crate) fn new(root: &Path, folder: &Path) -> Result<Self, Failure> {
        let library = library().map_err(Failure::Skipped)?;
        let control_path = root.join("control");
        fs::write(&control_path, [0; 8 * CONTROLS]).unwrap();
        let control = File::options().read(true).write(true).open(&control_path);
        let durable = root.join("durable");
        fs::create_dir(&durable).unwrap();
        Ok(Self {
            library,
            control: control.unwrap(),
            control_path,
            folder: fs::canonicalize(folder).unwrap(),
            durable,
        })
    }

    /// The variables that load the shim into a server.
    pub(crate) fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", self.library.clone().into()),
            ("SWITCHBOARD_FAULTS_FOLDER", self.folder.clone().into()),
            (
                "SWITCHBOARD_FAULTS_CONTROL",
                self.control_path.clone().into(),
            ),
            ("SWITCHBOARD_FAULTS_DURABLE", self.durable.clone().into()),
        ]
    }

    /// Adds seconds to the wall clock of the server.
    pub(crate) fn set_clock(&self, seconds: i64) {
        self.set(Control::ClockSeconds, seconds);
    }

    /// Has all syncs fail with EIO, or none.
    pub(crate) fn fail_syncs(&self, fails: bool) {
        self.set(Control::FailingSyncs, if fails { -1 } else { 0 });
    }

    /// Has all syncs of the database file fail with EIO, and none of its write-ahead log.
    pub(crate) fn fail_checkpoints(&self) {
        self.set(Control::SparesLog, 1);
        self.fail_syncs(true);
    }

    /// Has the next sync fail with EIO.
    pub(crate) fn fail_next_sync(&self) {
        self.set(Control::FailingSyncs, 1);
    }

    /// Has all writes to files fail, or none.
    pub(crate) fn fail_writes(&self, error: Option<WriteError>) {
        self.set(Control::WriteError, error.map_or(0, |error| error as i64));
    }

    /// How many syncs have succeeded.
    pub(crate) fn syncs(&self) -> i64 {
        self.get(Control::Syncs)
    }

    /// How many syncs and writes have failed.
    pub(crate) fn failures(&self) -> i64 {
        self.get(Control::Failures)
    }

    fn set(&self, control: Control, value: i64) {
        let at = control as u64 * 8;
        self.control.write_all_at(&value.to_ne_bytes(), at).unwrap();
    }

    fn get(&self, control: Control) -> i64 {
        let mut bytes = [0; 8];
        self.control
            .read_exact_at(&mut bytes, control as u64 * 8)
            .unwrap();
        i64::from_ne_bytes(bytes)
    }

    /// Leaves the files as a power cut does. All that was synced survives. Of the other blocks,
    /// `survives` decides which reached the disk: it gets a number for each.
    pub(crate) fn cut_power(&self, mut survives: impl FnMut() -> bool) {
        for entry in fs::read_dir(&self.folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            let synced = fs::read(self.durable.join(name)).ok();
            let written = fs::read(&path).unwrap();
            // The index of the write-ahead log is memory that processes share.
            if name.to_string_lossy().ends_with("-shm") {
                fs::remove_file(&path).unwrap();
                continue;
            }
            let mut left = synced.clone().unwrap_or_default();
            for (number, block) in written.chunks(BLOCK).enumerate() {
                let at = number * BLOCK;
                if left.get(at..at + block.len()) != Some(block) && survives() {
                    left.resize(left.len().max(at + block.len()), 0);
                    left[at..at + block.len()].copy_from_slice(block);
                }
            }
            if synced.is_some() || !left.is_empty() {
                fs::write(&path, left).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
            }
        }
    }
}

/// The bytes that a disk writes completely or not at all.
const BLOCK: usize = 512;
