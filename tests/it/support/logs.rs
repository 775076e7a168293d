//! What the server says in its log.

use std::{cell::RefCell, io, rc::Rc, sync::OnceLock};

use tracing::Level;
use tracing_subscriber::{Layer, filter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

thread_local! {
    static HEARD: RefCell<Option<Heard>> = const { RefCell::new(None) };
}

struct Heard {
    level: Level,
    text: Rc<RefCell<Vec<u8>>>,
}

/// Takes down what is logged on this thread, for as long as it lives. A test with one thread hears its whole server.
pub(crate) struct Logs(Rc<RefCell<Vec<u8>>>);

impl Logs {
    /// From this level on.
    pub(crate) fn of(level: Level) -> Self {
        install();
        let text = Rc::default();
        HEARD.set(Some(Heard {
            level,
            text: Rc::clone(&text),
        }));
        Self(text)
    }

    /// What was logged since this was asked last.
    pub(crate) fn take(&self) -> String {
        String::from_utf8(self.0.take()).unwrap()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        HEARD.set(None);
    }
}

/// One subscriber for all threads, there before the first server: who comes later may miss what was first said at that
/// very moment.
pub(crate) fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let heard = filter::dynamic_filter_fn(|metadata, _| {
            HEARD.with_borrow(|heard| {
                heard
                    .as_ref()
                    .is_some_and(|heard| *metadata.level() <= heard.level)
            })
        });
        let layer = fmt::layer()
            .with_ansi(false)
            .with_writer(|| Writer)
            .with_filter(heard);
        tracing_subscriber::registry().with(layer).init();
    });
}

struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        HEARD.with_borrow(|heard| {
            if let Some(heard) = heard {
                heard.text.borrow_mut().extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
