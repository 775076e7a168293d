//! Captures what the server logs.

use std::{cell::RefCell, io, rc::Rc, sync::OnceLock};

use tracing::Level;
use tracing_subscriber::{Layer, filter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

thread_local! {
    static CAPTURE: RefCell<Option<Capture>> = const { RefCell::new(None) };
}

struct Capture {
    level: Level,
    text: Rc<RefCell<Vec<u8>>>,
}

/// Captures what is logged on this thread, until it is dropped. A test with one thread captures
/// everything that its server logs.
pub(crate) struct Logs(Rc<RefCell<Vec<u8>>>);

impl Logs {
    /// Captures records of this level and of more severe ones.
    pub(crate) fn capture(level: Level) -> Self {
        install();
        let text = Rc::default();
        CAPTURE.set(Some(Capture {
            level,
            text: Rc::clone(&text),
        }));
        Self(text)
    }

    /// The text that was logged since the last call.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(self.0.take()).unwrap()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        CAPTURE.set(None);
    }
}

/// Installs one subscriber for all threads. It is installed before the first server starts: tracing
/// decides once per call site whether it is enabled, and a late subscriber could miss records.
pub(crate) fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let filter = filter::dynamic_filter_fn(|metadata, _| {
            CAPTURE.with_borrow(|capture| {
                capture
                    .as_ref()
                    .is_some_and(|capture| *metadata.level() <= capture.level)
            })
        });
        let layer = fmt::layer()
            .with_ansi(false)
            .with_writer(|| Writer)
            .with_filter(filter);
        tracing_subscriber::registry().with(layer).init();
    });
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        CAPTURE.with_borrow(|capture| {
            if let Some(capture) = capture {
                capture.text.borrow_mut().extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
