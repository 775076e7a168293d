//! A number that only grows, and the tasks that wait for it to grow.
//!
//! Like a watch channel, but made for thousands of listeners that are polled by hand: a listener registers its task's
//! waker once and keeps its place, so waiting again costs one atomic load and no lock.

#[cfg(not(test))]
use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};
use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

// In the tests below a scheduler of their own decides at each of these who goes on.
#[cfg(test)]
use shuttle::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use crate::domain::Seq;

/// Tells listeners how far a log reaches.
#[derive(Debug, Default)]
pub struct Bell {
    head: AtomicU64,
    listeners: Mutex<Listeners>,
}

/// The wakers, each at its listener's place; free places are used again.
#[derive(Debug, Default)]
struct Listeners {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Bell {
    /// How far the log reaches.
    pub fn head(&self) -> Seq {
        Seq(self.head.load(Ordering::Acquire))
    }

    /// Moves the head, never back (H5), and wakes who listens.
    pub fn ring(&self, head: Seq) {
        if self.head.fetch_max(head.0, Ordering::AcqRel) >= head.0 {
            return;
        }
        // A listener that registers after this lock was taken looks at the head again afterwards and sees the new one.
        let listeners = self.listeners.lock().expect("no panic under this lock");
        listeners.wakers.iter().flatten().for_each(Waker::wake_by_ref);
    }

    /// Wakes who listens although the head did not move.
    pub fn rouse(&self) {
        let listeners = self.listeners.lock().expect("no panic under this lock");
        listeners.wakers.iter().flatten().for_each(Waker::wake_by_ref);
    }

    /// A place in the row of listeners; dropping it leaves the row.
    pub fn listen(self: &Arc<Self>) -> Listener {
        Listener { bell: self.clone(), place: None }
    }
}

/// One who waits for a bell.
#[derive(Debug)]
pub struct Listener {
    bell: Arc<Bell>,
    /// The place in the row, and the waker that was left there.
    place: Option<(usize, Waker)>,
}

impl Listener {
    /// Ready when the head is past `seq`; else this task is woken when the head moves.
    pub fn poll_past(&mut self, seq: Seq, cx: &Context<'_>) -> Poll<Seq> {
        let head = self.bell.head();
        if head > seq {
            return Poll::Ready(head);
        }
        if self.place.as_ref().is_some_and(|(_, waker)| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        self.register(cx.waker());
        match self.bell.head() {
            head if head > seq => Poll::Ready(head),
            _ => Poll::Pending,
        }
    }

    /// Waits until the head is past `seq`, and returns it.
    pub async fn past(&mut self, seq: Seq) -> Seq {
        std::future::poll_fn(|cx| self.poll_past(seq, cx)).await
    }

    fn register(&mut self, waker: &Waker) {
        let mut listeners = self.bell.listeners.lock().expect("no panic under this lock");
        let place = match &self.place {
            Some((place, _)) => *place,
            None => listeners.free.pop().unwrap_or_else(|| {
                listeners.wakers.push(None);
                listeners.wakers.len() - 1
            }),
        };
        listeners.wakers[place] = Some(waker.clone());
        self.place = Some((place, waker.clone()));
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let Some((place, _)) = self.place.take() else { return };
        let mut listeners = self.bell.listeners.lock().expect("no panic under this lock");
        listeners.wakers[place] = None;
        listeners.free.push(place);
        if listeners.free.len() == listeners.wakers.len() {
            // The last one gives back what a crowd had grown.
            *listeners = Listeners::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use shuttle::{future::block_on, thread};

    use super::*;

    /// Runs under many schedules, each from a seed that a failure names.
    fn under_all_schedules(test: impl Fn() + Send + Sync + 'static) {
        shuttle::check_random(test, 2_000);
    }

    #[derive(Default)]
    struct Count(AtomicU64);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn h5_heads_only_grow_and_wake_once_per_growth() {
        under_all_schedules(|| {
            let (bell, count) = (Arc::new(Bell::default()), Arc::new(Count::default()));
            let waker = Waker::from(count.clone());
            let cx = Context::from_waker(&waker);
            let mut listener = bell.listen();
            assert_eq!(listener.poll_past(Seq(0), &cx), Poll::Pending);
            assert_eq!(listener.poll_past(Seq(0), &cx), Poll::Pending);
            bell.ring(Seq(5));
            bell.ring(Seq(3));
            assert_eq!(count.0.load(Ordering::SeqCst), 1);
            assert_eq!(listener.poll_past(Seq(0), &cx), Poll::Ready(Seq(5)));
            assert_eq!(listener.poll_past(Seq(5), &cx), Poll::Pending);
            bell.ring(Seq(6));
            assert_eq!(count.0.load(Ordering::SeqCst), 2);
        });
    }

    #[test]
    fn a_dropped_listener_leaves_no_trace() {
        under_all_schedules(|| {
            let bell = Arc::new(Bell::default());
            let cx = Context::from_waker(Waker::noop());
            let mut listeners: Vec<_> = (0..10).map(|_| bell.listen()).collect();
            listeners.iter_mut().for_each(|listener| assert_eq!(listener.poll_past(Seq(0), &cx), Poll::Pending));
            listeners.truncate(1);
            let mut again = bell.listen();
            assert_eq!(again.poll_past(Seq(0), &cx), Poll::Pending);
            assert_eq!(bell.listeners.lock().unwrap().wakers.len(), 10, "places are used again");
            drop((listeners, again));
            assert_eq!(bell.listeners.lock().unwrap().wakers.capacity(), 0);
        });
    }

    #[test]
    fn h5_no_ring_is_missed_between_looking_and_registering() {
        under_all_schedules(|| {
            let bell = Arc::new(Bell::default());
            let listeners: Vec<_> = (0..2)
                .map(|_| {
                    let mut listener = bell.listen();
                    thread::spawn(move || {
                        let mut seen = Seq::START;
                        // A ring that was missed leaves this waiting for ever, which the scheduler reports.
                        while seen < Seq(3) {
                            let head = block_on(listener.past(seen));
                            assert!(head > seen);
                            seen = head;
                        }
                    })
                })
                .collect();
            let ringers = [[1, 3], [2, 1]].map(|heads| {
                let bell = bell.clone();
                thread::spawn(move || heads.into_iter().for_each(|head| bell.ring(Seq(head))))
            });
            listeners.into_iter().chain(ringers).for_each(|thread| thread.join().unwrap());
        });
    }

    #[test]
    fn h5_listeners_that_come_and_go_do_not_disturb_one_that_stays() {
        under_all_schedules(|| {
            let bell = Arc::new(Bell::default());
            let mut steady = bell.listen();
            let steady = thread::spawn(move || block_on(steady.past(Seq(0))));
            let fleeting = thread::spawn({
                let bell = bell.clone();
                move || {
                    for _ in 0..3 {
                        let _ = bell.listen().poll_past(Seq(9), &Context::from_waker(Waker::noop()));
                    }
                }
            });
            bell.ring(Seq(1));
            assert_eq!(steady.join().unwrap(), Seq(1));
            fleeting.join().unwrap();
        });
    }
}
