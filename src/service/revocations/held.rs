//! Requests that are held until there is news: the long polls of the feed. A held request costs no
//! thread and no read of the database.
//!
//! Owns how many there may be, and in which order they are woken. Must not know what the news are,
//! or HTTP.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout_at};

/// How many of the held requests are woken at once, those that have waited longest.
const MAX_AT_ONCE: usize = 64;

/// The others are woken in this many equal parts, one after each pause: so many answers at the same
/// instant would delay every other request.
const PARTS: usize = 40;
/// See [`PARTS`]. All parts take 200 ms.
const PART_PAUSE: Duration = Duration::from_millis(5);

/// Which news a held request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaits {
    /// Another version of the list.
    Version,
    /// Any change of the list's text that is no mere expiry.
    Text,
}

/// Why a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HoldEnd {
    /// There is news.
    News,
    /// Its time is over.
    TimeOver,
    /// Too many requests are held.
    Crowded,
    /// The process stops.
    Draining,
}

/// The held requests of this process.
pub(crate) struct HeldPolls {
    /// The most that are held at once.
    limit: usize,
    is_draining: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// How many requests are held, whether they wait or are being woken.
    count: usize,
    next: u64,
    /// Those that wait, the oldest first.
    waiting: BTreeMap<u64, (Awaits, oneshot::Sender<()>)>,
}

/// A request's place among the held ones. It is given back when dropped, also when the client has
/// left.
pub(super) struct PollPlace<'a> {
    polls: &'a HeldPolls,
    number: Option<u64>,
}

impl HeldPolls {
    /// Holds at most `limit` requests at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            is_draining: AtomicBool::new(false),
            held: Mutex::default(),
        }
    }

    /// How many requests are held.
    pub(crate) fn count(&self) -> usize {
        self.lock().count
    }

    /// Waits until `has_news`, for at most `wait`.
    pub(crate) async fn hold(
        &self,
        awaits: Awaits,
        wait: Duration,
        has_news: impl Fn() -> bool,
    ) -> HoldEnd {
        if has_news() {
            return HoldEnd::News;
        }
        if self.is_draining.load(Ordering::SeqCst) {
            return HoldEnd::Draining;
        }
        let Some(mut place) = self.take() else {
            return HoldEnd::Crowded;
        };
        let ends = tokio::time::Instant::now() + wait;
        loop {
            let woken = place.listen(awaits);
            // News that came before this moment have woken nobody here.
            if has_news() {
                return HoldEnd::News;
            }
            if self.is_draining.load(Ordering::SeqCst) {
                return HoldEnd::Draining;
            }
            if timeout_at(ends, woken).await.is_err() {
                return HoldEnd::TimeOver;
            }
        }
    }

    /// Wakes those who wait for a change of the text; if the version has changed, all. Those that
    /// have waited longest come first.
    pub(crate) fn wake(&self, is_new_version: bool) {
        let woken: Vec<_> = {
            let mut held = self.lock();
            if is_new_version {
                std::mem::take(&mut held.waiting).into_values().collect()
            } else {
                let of_text = held
                    .waiting
                    .extract_if(.., |_, (awaits, _)| *awaits == Awaits::Text);
                of_text.map(|(_, waiting)| waiting).collect()
            }
        };
        let mut woken = woken.into_iter().map(|(_, wake)| wake);
        for wake in woken.by_ref().take(MAX_AT_ONCE) {
            let _ = wake.send(());
        }
        let rest: Vec<_> = woken.collect();
        if !rest.is_empty() {
            tokio::spawn(wake_in_parts(rest));
        }
    }

    /// Answers all that are held, and holds no more: the process stops.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
        self.wake(true);
    }

    /// A place among the held requests, if there is one.
    pub(super) fn take(&self) -> Option<PollPlace<'_>> {
        let mut held = self.lock();
        if held.count >= self.limit {
            return None;
        }
        held.count += 1;
        Some(PollPlace {
            polls: self,
            number: None,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn wake_in_parts(mut rest: Vec<oneshot::Sender<()>>) {
    let part = rest.len().div_ceil(PARTS);
    let mut rest = rest.drain(..);
    while rest.len() > 0 {
        sleep(PART_PAUSE).await;
        for wake in rest.by_ref().take(part) {
            let _ = wake.send(());
        }
    }
}

impl PollPlace<'_> {
    /// Ready once this request is woken.
    fn listen(&mut self, awaits: Awaits) -> oneshot::Receiver<()> {
        let (wake, woken) = oneshot::channel();
        let mut held = self.polls.lock();
        if let Some(number) = self.number {
            held.waiting.remove(&number);
        }
        let number = held.next;
        held.next += 1;
        held.waiting.insert(number, (awaits, wake));
        self.number = Some(number);
        woken
    }
}

impl Drop for PollPlace<'_> {
    fn drop(&mut self) {
        let mut held = self.polls.lock();
        held.count = held.count.saturating_sub(1);
        if let Some(number) = self.number {
            held.waiting.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::*;

    const WAIT: Duration = Duration::from_secs(25);

    /// Holds so many requests until the number is another than 0. Each tells when it was answered.
    async fn hold_many(
        polls: &Arc<HeldPolls>,
        news: &Arc<AtomicI64>,
        awaits: Awaits,
        count: usize,
    ) -> JoinSet<(HoldEnd, Instant)> {
        let mut held = JoinSet::new();
        for _ in 0..count {
            let (polls, news) = (Arc::clone(polls), Arc::clone(news));
            held.spawn(async move {
                let has_news = || news.load(Ordering::SeqCst) != 0;
                (polls.hold(awaits, WAIT, has_news).await, Instant::now())
            });
        }
        while polls.lock().waiting.len() < count {
            tokio::task::yield_now().await;
        }
        held
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_are_woken_at_once_and_the_others_within_200_ms() {
        let (polls, news) = (Arc::new(HeldPolls::new(5_000)), Arc::default());
        let held = hold_many(&polls, &news, Awaits::Version, 1_064).await;
        let woken = Instant::now();
        news.store(1, Ordering::SeqCst);
        polls.wake(true);
        let mut times: Vec<Duration> = held
            .join_all()
            .await
            .into_iter()
            .map(|(end, at)| {
                assert_eq!(end, HoldEnd::News);
                at.duration_since(woken)
            })
            .collect();
        times.sort_unstable();
        assert_eq!(times[MAX_AT_ONCE - 1], Duration::ZERO);
        assert!(times[MAX_AT_ONCE] > Duration::ZERO);
        // The others come in equal parts.
        let half = times[MAX_AT_ONCE + 500];
        assert!((90..=110).contains(&half.as_millis()), "{half:?}");
        assert!(
            times[1_063] <= Duration::from_millis(240),
            "{:?}",
            times[1_063]
        );
        assert_eq!(polls.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn those_whom_the_news_do_not_concern_wait_on() {
        let (polls, news) = (Arc::new(HeldPolls::new(10)), Arc::default());
        let began = Instant::now();
        let held = hold_many(&polls, &news, Awaits::Version, 2).await;
        for is_new_version in [false, true, false] {
            polls.wake(is_new_version);
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(polls.count(), 2);
        }
        for (end, at) in held.join_all().await {
            assert_eq!((end, at.duration_since(began)), (HoldEnd::TimeOver, WAIT));
        }
        let held = hold_many(&polls, &news, Awaits::Text, 2).await;
        news.store(1, Ordering::SeqCst);
        polls.wake(false);
        for (end, _) in held.join_all().await {
            assert_eq!(end, HoldEnd::News);
        }
        assert!(polls.lock().waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_than_the_limit_is_answered_and_whoever_leaves_makes_room() {
        let (polls, news) = (Arc::new(HeldPolls::new(2)), Arc::default());
        let mut held = hold_many(&polls, &news, Awaits::Version, 2).await;
        let third = || polls.hold(Awaits::Version, WAIT, || false);
        assert_eq!(third().await, HoldEnd::Crowded);
        held.abort_all();
        while held.join_next().await.is_some() {}
        assert_eq!(polls.count(), 0);
        assert!(polls.lock().waiting.is_empty());
        assert_eq!(third().await, HoldEnd::TimeOver);
        let held = hold_many(&polls, &news, Awaits::Text, 2).await;
        polls.drain();
        for (end, _) in held.join_all().await {
            assert_eq!(end, HoldEnd::Draining);
        }
        assert_eq!(third().await, HoldEnd::Draining);
    }
}
