//! A number that only grows, and the tasks that wait for it to grow.
//!
//! A bell announces how far a log, a view or a stream reaches. It is like a watch channel, but made
//! for thousands of listeners that are polled by hand:
//!
//! - A listener registers the waker of its task once and stays registered. To wait again takes no
//!   lock, only a flag (`armed`).
//! - The task that rings can wait until nearly all listeners that it woke have looked. Everything
//!   that comes meanwhile is then one more wake-up for each of them, instead of many.

#[cfg(not(test))]
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};
use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll, Waker},
};

// In the tests below, a scheduler of shuttle decides at each of these which thread continues.
#[cfg(test)]
use shuttle::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use crate::domain::Seq;

/// One in this many woken listeners may be late: a round is over without them.
const LATE_PART: usize = 16;

/// The type of the number that a bell announces: [`Seq`] for logs.
pub trait BellNumber: Copy + Ord + fmt::Debug {
    /// From the bare number.
    fn from_u64(number: u64) -> Self;
    /// To the bare number.
    fn to_u64(self) -> u64;
}

impl BellNumber for Seq {
    fn from_u64(number: u64) -> Self {
        Self(number)
    }

    fn to_u64(self) -> u64 {
        self.0
    }
}

/// Announces a number to listeners.
#[derive(Debug)]
pub struct Bell<N = Seq> {
    head: AtomicU64,
    waiters: Mutex<Waiters>,
    /// How many listeners were woken and have not looked yet.
    unserved: AtomicUsize,
    /// The ringer is woken when at most this many listeners are unserved.
    late_max: AtomicUsize,
    ringer: Mutex<Option<Waker>>,
    number: PhantomData<fn() -> N>,
}

/// The registered listeners. Free places in the row are used again.
#[derive(Debug, Default)]
struct Waiters {
    row: Vec<Option<Arc<Waiter>>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Waiter {
    waker: Waker,
    /// The listener waits. The ring that wakes it clears this.
    armed: AtomicBool,
}

/// The locks of [`crate::sync`] have no counterpart in shuttle.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no thread panics while it holds this lock")
}

impl<N> Default for Bell<N> {
    fn default() -> Self {
        Self {
            head: AtomicU64::new(0),
            waiters: Mutex::default(),
            unserved: AtomicUsize::new(0),
            late_max: AtomicUsize::new(0),
            ringer: Mutex::default(),
            number: PhantomData,
        }
    }
}

impl<N> Bell<N> {
    /// Wakes all listeners that wait, although the head did not move.
    pub fn wake_all(&self) {
        let waiters = lock(&self.waiters);
        let mut woken = 0;
        for waiter in waiters.row.iter().flatten() {
            if !waiter.armed.load(Ordering::SeqCst) {
                continue;
            }
            // The listener is counted before it can look. If it did not wait, the count is taken
            // back.
            self.unserved.fetch_add(1, Ordering::SeqCst);
            if waiter.armed.swap(false, Ordering::SeqCst) {
                woken += 1;
                waiter.waker.wake_by_ref();
            } else {
                self.serve();
            }
        }
        self.late_max.store(woken / LATE_PART, Ordering::SeqCst);
    }

    /// Ready when nearly all listeners that were woken have looked.
    pub fn poll_served(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_served() {
            return Poll::Ready(());
        }
        *lock(&self.ringer) = Some(cx.waker().clone());
        if self.is_served() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn is_served(&self) -> bool {
        self.unserved.load(Ordering::SeqCst) <= self.late_max.load(Ordering::SeqCst)
    }

    /// A listener that was woken has looked or is gone.
    fn serve(&self) {
        let unserved = self.unserved.fetch_sub(1, Ordering::SeqCst) - 1;
        if unserved == self.late_max.load(Ordering::SeqCst) || unserved == 0 {
            let ringer = lock(&self.ringer).take();
            ringer.iter().for_each(Waker::wake_by_ref);
        }
    }

    /// A new listener. Dropping it ends its registration.
    pub fn listen(self: &Arc<Self>) -> Listener<N> {
        Listener {
            bell: self.clone(),
            waiter: None,
            index: 0,
            waits: false,
        }
    }
}

impl<N: BellNumber> Bell<N> {
    /// The number that was announced last.
    pub fn head(&self) -> N {
        N::from_u64(self.head.load(Ordering::SeqCst))
    }

    /// Moves the head, never back (H5), and wakes the listeners that wait.
    pub fn ring(&self, head: N) {
        // The ringer moves the head and then looks for listeners. A listener registers and then
        // looks at the head. So at least one of the two sees the other.
        let head = head.to_u64();
        if self.head.fetch_max(head, Ordering::SeqCst) < head {
            self.wake_all();
        }
    }
}

/// A task that waits for a bell.
#[derive(Debug)]
pub struct Listener<N = Seq> {
    bell: Arc<Bell<N>>,
    waiter: Option<Arc<Waiter>>,
    /// The place of the waiter in the row. Every reader holds a listener, so this is a `u32`.
    index: u32,
    /// The waiter was armed, and this listener has not looked since.
    waits: bool,
}

impl<N: BellNumber> Listener<N> {
    /// Ready when the head is past `seen`. Else this task is woken when the head moves.
    pub fn poll_past(&mut self, seen: N, cx: &Context<'_>) -> Poll<N> {
        self.look();
        let head = self.bell.head();
        if head > seen {
            return Poll::Ready(head);
        }
        self.arm(cx.waker());
        match self.bell.head() {
            head if head > seen => Poll::Ready(head),
            _ => Poll::Pending,
        }
    }

    /// Waits until the head is past `seen`, and returns the head.
    pub async fn past(&mut self, seen: N) -> N {
        std::future::poll_fn(|cx| self.poll_past(seen, cx)).await
    }
}

impl<N> Listener<N> {
    /// Stops waiting. If a ring woke this listener meanwhile, the ring is served now.
    fn look(&mut self) {
        let Some(waiter) = self.waiter.as_ref().filter(|_| self.waits) else {
            return;
        };
        self.waits = false;
        if !waiter.armed.swap(false, Ordering::SeqCst) {
            self.bell.serve();
        }
    }

    fn arm(&mut self, waker: &Waker) {
        match &self.waiter {
            Some(waiter) if waiter.waker.will_wake(waker) => {
                waiter.armed.store(true, Ordering::SeqCst);
            }
            _ => self.register(waker.clone()),
        }
        self.waits = true;
    }

    /// Puts an armed waiter into the row, at the same place as before if there was one.
    fn register(&mut self, waker: Waker) {
        let armed = AtomicBool::new(true);
        let waiter = Arc::new(Waiter { waker, armed });
        let mut waiters = lock(&self.bell.waiters);
        if self.waiter.is_none() {
            self.index = waiters.free.pop().unwrap_or_else(|| {
                waiters.row.push(None);
                u32::try_from(waiters.row.len() - 1).expect("fewer than 2^32 listeners")
            });
        }
        waiters.row[self.index as usize] = Some(waiter.clone());
        self.waiter = Some(waiter);
    }
}

impl<N> Drop for Listener<N> {
    fn drop(&mut self) {
        self.look();
        if self.waiter.is_none() {
            return;
        }
        let mut waiters = lock(&self.bell.waiters);
        waiters.row[self.index as usize] = None;
        waiters.free.push(self.index);
        if waiters.free.len() == waiters.row.len() {
            // The last listener frees the memory that a large number of them had grown.
            *waiters = Waiters::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use shuttle::{future::block_on, thread};

    use super::*;

    /// Runs under many schedules. Each comes from a seed, which a failure reports.
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
            let (bell, count) = (Arc::<Bell>::default(), Arc::new(Count::default()));
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
    fn dropped_listeners_leave_no_memory_behind() {
        under_all_schedules(|| {
            let bell = Arc::<Bell>::default();
            let cx = Context::from_waker(Waker::noop());
            let mut listeners: Vec<_> = (0..10).map(|_| bell.listen()).collect();
            listeners
                .iter_mut()
                .for_each(|listener| assert_eq!(listener.poll_past(Seq(0), &cx), Poll::Pending));
            listeners.truncate(1);
            let mut again = bell.listen();
            assert_eq!(again.poll_past(Seq(0), &cx), Poll::Pending);
            assert_eq!(
                bell.waiters.lock().unwrap().row.len(),
                10,
                "free places are used again"
            );
            drop((listeners, again));
            assert_eq!(bell.waiters.lock().unwrap().row.capacity(), 0);
        });
    }

    #[test]
    fn h5_no_ring_is_missed_between_looking_and_registering() {
        under_all_schedules(|| {
            let bell = Arc::<Bell>::default();
            let listeners: Vec<_> = (0..2)
                .map(|_| {
                    let mut listener = bell.listen();
                    thread::spawn(move || {
                        let mut seen = Seq::START;
                        // If a ring is missed this waits for ever, and the scheduler reports it.
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
    fn h5_listeners_that_come_and_go_do_not_disturb_others() {
        under_all_schedules(|| {
            let bell = Arc::<Bell>::default();
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
    fn a_ringer_can_wait_until_the_woken_listeners_have_looked() {
        under_all_schedules(|| {
            let bell = Arc::<Bell>::default();
            let listeners = [0, 1, 2].map(|number| {
                let mut listener = bell.listen();
                thread::spawn(move || {
                    // One listener is dropped in the middle; the others look.
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
