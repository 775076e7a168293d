//! A number that only grows, and the tasks that wait for it to grow.
//!
//! Like a watch channel, but made for thousands of listeners that are polled by hand. A listener leaves its task's waker
//! once and keeps its place, so waiting again takes no lock. And whoever rings can wait until those that were woken have
//! looked: what comes meanwhile is then one more ring for each of them instead of many.

#[cfg(not(test))]
use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};
use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

// In the tests below a scheduler of their own decides at each of these who goes on.
#[cfg(test)]
use shuttle::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use crate::domain::Seq;

/// So many of those that were woken may still have to look when a round counts as over: the slow must not hold up the rest.
const LATE_PART: usize = 16;

/// Tells listeners how far a log reaches.
#[derive(Debug, Default)]
pub struct Bell {
    head: AtomicU64,
    places: Mutex<Places>,
    /// How many were woken and have not looked yet.
    unserved: AtomicUsize,
    /// When no more than this are unserved, the ringer is woken.
    late_max: AtomicUsize,
    ringer: Mutex<Option<Waker>>,
}

/// The row of listeners; free places are used again.
#[derive(Debug, Default)]
struct Places {
    row: Vec<Option<Arc<Place>>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Place {
    waker: Waker,
    /// The listener waits. Taken by the ring that wakes it.
    armed: AtomicBool,
}

impl Bell {
    /// How far the log reaches.
    pub fn head(&self) -> Seq {
        Seq(self.head.load(Ordering::SeqCst))
    }

    /// Moves the head, never back (H5), and wakes who waits.
    pub fn ring(&self, head: Seq) {
        // The head first, then who waits; a listener does it the other way round. So one of the two sees the other.
        if self.head.fetch_max(head.0, Ordering::SeqCst) < head.0 {
            self.rouse();
        }
    }

    /// Wakes who waits although the head did not move.
    pub fn rouse(&self) {
        let places = self.places.lock().expect("no panic under this lock");
        let mut woken = 0;
        for place in places.row.iter().flatten() {
            // Counted before it can look, and back if it was not waiting after all.
            if !place.armed.load(Ordering::SeqCst) {
                continue;
            }
            self.unserved.fetch_add(1, Ordering::SeqCst);
            if place.armed.swap(false, Ordering::SeqCst) {
                woken += 1;
                place.waker.wake_by_ref();
            } else {
                self.serve();
            }
        }
        self.late_max.store(woken / LATE_PART, Ordering::SeqCst);
    }

    /// Ready when nearly all that were woken have looked.
    pub fn poll_served(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_served() {
            return Poll::Ready(());
        }
        *self.ringer.lock().expect("no panic under this lock") = Some(cx.waker().clone());
        if self.is_served() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn is_served(&self) -> bool {
        self.unserved.load(Ordering::SeqCst) <= self.late_max.load(Ordering::SeqCst)
    }

    /// One of those that were woken has looked, or is gone.
    fn serve(&self) {
        let left = self.unserved.fetch_sub(1, Ordering::SeqCst) - 1;
        if left == self.late_max.load(Ordering::SeqCst) || left == 0 {
            let ringer = self.ringer.lock().expect("no panic under this lock").take();
            ringer.iter().for_each(Waker::wake_by_ref);
        }
    }

    /// A place in the row of listeners; dropping it leaves the row.
    pub fn listen(self: &Arc<Self>) -> Listener {
        Listener {
            bell: self.clone(),
            place: None,
            waits: false,
        }
    }
}

/// One who waits for a bell.
#[derive(Debug)]
pub struct Listener {
    bell: Arc<Bell>,
    /// Where it stands in the row.
    place: Option<(usize, Arc<Place>)>,
    /// It has said that it waits, and has not looked since.
    waits: bool,
}

impl Listener {
    /// Ready when the head is past `seq`; else this task is woken when the head moves.
    pub fn poll_past(&mut self, seq: Seq, cx: &Context<'_>) -> Poll<Seq> {
        self.look();
        let head = self.bell.head();
        if head > seq {
            return Poll::Ready(head);
        }
        self.arm(cx.waker());
        match self.bell.head() {
            head if head > seq => Poll::Ready(head),
            _ => Poll::Pending,
        }
    }

    /// Waits until the head is past `seq`, and returns it.
    pub async fn past(&mut self, seq: Seq) -> Seq {
        std::future::poll_fn(|cx| self.poll_past(seq, cx)).await
    }

    /// No longer waits. If a ring took it at its word meanwhile, that ring is served with this.
    fn look(&mut self) {
        let Some((_, place)) = self.place.as_ref().filter(|_| self.waits) else {
            return;
        };
        self.waits = false;
        if !place.armed.swap(false, Ordering::SeqCst) {
            self.bell.serve();
        }
    }

    fn arm(&mut self, waker: &Waker) {
        let known = self
            .place
            .as_ref()
            .filter(|(_, place)| place.waker.will_wake(waker));
        if let Some((_, place)) = known {
            place.armed.store(true, Ordering::SeqCst);
        } else {
            let place = Arc::new(Place {
                waker: waker.clone(),
                armed: AtomicBool::new(true),
            });
            let at = self.stand(place.clone());
            self.place = Some((at, place));
        }
        self.waits = true;
    }

    /// Takes a place in the row, the same one as before if there was one.
    fn stand(&self, place: Arc<Place>) -> usize {
        let mut places = self.bell.places.lock().expect("no panic under this lock");
        let known = self.place.as_ref().map(|(at, _)| *at);
        let at = known.or_else(|| places.free.pop()).unwrap_or_else(|| {
            places.row.push(None);
            places.row.len() - 1
        });
        places.row[at] = Some(place);
        at
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.look();
        let Some((at, _)) = self.place.take() else {
            return;
        };
        let mut places = self.bell.places.lock().expect("no panic under this lock");
        places.row[at] = None;
        places.free.push(at);
        if places.free.len() == places.row.len() {
            // The last one gives back what a crowd had grown.
            *places = Places::default();
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
            listeners
                .iter_mut()
                .for_each(|listener| assert_eq!(listener.poll_past(Seq(0), &cx), Poll::Pending));
            listeners.truncate(1);
            let mut again = bell.listen();
            assert_eq!(again.poll_past(Seq(0), &cx), Poll::Pending);
            assert_eq!(
                bell.places.lock().unwrap().row.len(),
                10,
                "places are used again"
            );
            drop((listeners, again));
            assert_eq!(bell.places.lock().unwrap().row.capacity(), 0);
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
            listeners
                .into_iter()
                .chain(ringers)
                .for_each(|thread| thread.join().unwrap());
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
                        let _ = bell
                            .listen()
                            .poll_past(Seq(9), &Context::from_waker(Waker::noop()));
                    }
                }
            });
            bell.ring(Seq(1));
            assert_eq!(steady.join().unwrap(), Seq(1));
            fleeting.join().unwrap();
        });
    }

    #[test]
    fn who_rings_can_wait_until_those_that_were_woken_have_looked() {
        under_all_schedules(|| {
            let bell = Arc::new(Bell::default());
            let listeners = [0, 1, 2].map(|number| {
                let mut listener = bell.listen();
                thread::spawn(move || {
                    // One goes away in the middle, the others look.
                    let rounds = if number == 0 { 1 } else { 2 };
                    (0..rounds)
                        .for_each(|seen| assert!(block_on(listener.past(Seq(seen))) > Seq(seen)));
                })
            });
            for head in 1..=2 {
                bell.ring(Seq(head));
                block_on(std::future::poll_fn(|cx| bell.poll_served(cx)));
            }
            listeners
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
            assert_eq!(bell.unserved.load(Ordering::SeqCst), 0);
        });
    }
}
