//! The table of open connections: how many there may be, in all and from one address, and which of
//! them make room.
//!
//! Owns the count. Must not know HTTP. A connection whose entry is removed is told to end.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::line::Line;

/// Making room ends one in `ROOM_PART` of the open connections at once, because each search goes
/// through the whole table.
const ROOM_PART: usize = 32;

/// One in `LEAVING_PART` of the cap may be ending at once, each with its file descriptor. A
/// connection whose client does not read takes a second to end.
const LEAVING_PART: usize = 16;

/// If no connection could be ended, the table does not search again for this long.
pub(super) const BARREN: Duration = Duration::from_millis(50);

/// How long a connection must have waited for its client before it may be ended to make room.
const MIN_WAIT: Duration = Duration::from_millis(250);

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// In all.
    pub total: usize,
    /// From one address, or from one /64 of IPv6. 0 means that there is no cap.
    pub per_source: usize,
}

/// Why a connection gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// There are too many in all.
    Total,
    /// There are too many from its address.
    Source,
}

/// The connections that are open.
pub(super) struct Table {
    caps: Caps,
    open: Mutex<OpenSlots>,
}

#[derive(Default)]
struct OpenSlots {
    next: u64,
    entries: HashMap<u64, ConnectionEntry>,
    /// How many connections have no entry any longer but have not ended yet.
    leaving: usize,
    sources: HashMap<IpAddr, SourceSlots>,
    barren_until: Option<Instant>,
}

struct ConnectionEntry {
    source: Option<IpAddr>,
    line: Arc<Line>,
    /// Dropped with the entry. The connection notices the drop.
    _told: oneshot::Sender<()>,
}

#[derive(Default)]
struct SourceSlots {
    count: usize,
    barren_until: Option<Instant>,
}

/// A connection's place in the table. It is given back when dropped.
pub(super) struct Seat {
    table: Arc<Table>,
    number: u64,
    /// Ready when the connection must end.
    pub ending: oneshot::Receiver<()>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.table.lock();
        if !open.remove(self.number) {
            open.leaving = open.leaving.saturating_sub(1);
        }
    }
}

impl Table {
    /// An empty table.
    pub(super) fn new(caps: Caps) -> Arc<Self> {
        Arc::new(Self {
            caps,
            open: Mutex::default(),
        })
    }

    /// Gives a connection a place. `source` is the address that the connection counts for. It is
    /// `None` for a proxy that sends the requests of many clients.
    ///
    /// If there is no free place, the connections that have waited longest for their clients end,
    /// whatever they wait for: a request, the rest of a head or of a body, a client that does not
    /// read. A connection whose response is being made keeps its place.
    pub(super) fn admit(
        self: &Arc<Self>,
        source: Option<IpAddr>,
        line: &Arc<Line>,
    ) -> Result<Seat, Full> {
        let source = source.map(network);
        let mut open = self.lock();
        if let Some(source) = source.filter(|_| self.caps.per_source > 0) {
            let count = open.sources.get(&source).map_or(0, |s| s.count);
            if count >= self.caps.per_source && !open.make_room(Some(source)) {
                return Err(Full::Source);
            }
        }
        // Each connection holds a file descriptor until it has ended, so the number of ending
        // connections is bounded too.
        if open.is_emptying(self.caps)
            || (open.entries.len() >= self.caps.total && !open.make_room(None))
        {
            return Err(Full::Total);
        }
        let number = open.next;
        open.next += 1;
        let (told, ending) = oneshot::channel();
        open.entries.insert(
            number,
            ConnectionEntry {
                source,
                line: Arc::clone(line),
                _told: told,
            },
        );
        if let Some(source) = source {
            open.sources.entry(source).or_default().count += 1;
        }
        drop(open);
        Ok(Seat {
            table: Arc::clone(self),
            number,
            ending,
        })
    }

    /// Whether some connection is ending, or waits for its client: such a connection makes room
    /// once it has waited long enough.
    pub(super) fn will_have_room(&self) -> bool {
        let open = self.lock();
        open.leaving > 0
            || open
                .entries
                .values()
                .any(|entry| entry.line.waiting_since().is_some())
    }

    /// Whether the number of ending connections has reached its limit. The next of them has ended
    /// within a second.
    pub(super) fn is_emptying(&self) -> bool {
        self.lock().is_emptying(self.caps)
    }

    /// Ends the connections that have waited longest for their clients. For the case that the
    /// system has no file descriptor left although the caps would allow more connections.
    pub(super) fn make_room(&self) {
        self.lock().make_room(None);
    }

    /// Ends all connections, each after the response that it waits for.
    pub(super) fn end(&self) {
        let mut open = self.lock();
        for entry in open.entries.values() {
            entry.line.end_after_answer();
        }
        open.leaving += open.entries.len();
        open.entries.clear();
        open.sources.clear();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().entries.len()
    }

    fn lock(&self) -> MutexGuard<'_, OpenSlots> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenSlots {
    fn is_emptying(&self, caps: Caps) -> bool {
        self.leaving > caps.total / LEAVING_PART + 1
    }

    /// Removes an entry. Returns whether there was one.
    fn remove(&mut self, number: u64) -> bool {
        let Some(entry) = self.entries.remove(&number) else {
            return false;
        };
        if let Some(source) = entry.source
            && let Some(counted) = self.sources.get_mut(&source)
        {
            counted.count = counted.count.saturating_sub(1);
            if counted.count == 0 {
                self.sources.remove(&source);
            }
        }
        true
    }

    /// Ends the connections that have waited longest, of one source or of all. Returns whether
    /// there were any.
    fn make_room(&mut self, source: Option<IpAddr>) -> bool {
        let now = Instant::now();
        if self.barren(source).is_some_and(|until| now < until) {
            return false;
        }
        let mut waiting: Vec<(Instant, u64)> = self
            .entries
            .iter()
            .filter(|(_, entry)| source.is_none() || entry.source == source)
            .filter_map(|(number, entry)| Some((entry.line.waiting_since()?, *number)))
            .filter(|(since, _)| now.saturating_duration_since(*since) >= MIN_WAIT)
            .collect();
        if waiting.is_empty() {
            *self.barren(source) = Some(now + BARREN);
            return false;
        }
        let open = match source {
            Some(source) => self.sources.get(&source).map_or(0, |counted| counted.count),
            None => self.entries.len(),
        };
        let room = (open / ROOM_PART + 1).min(waiting.len());
        waiting.select_nth_unstable(room - 1);
        for (_, number) in waiting.iter().take(room) {
            if self.remove(*number) {
                self.leaving += 1;
            }
        }
        true
    }

    fn barren(&mut self, source: Option<IpAddr>) -> &mut Option<Instant> {
        match source {
            Some(source) => &mut self.sources.entry(source).or_default().barren_until,
            None => &mut self.barren_until,
        }
    }
}

/// The network that an address counts for: a client with one IPv6 address has the whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        IpAddr::V4(v4) => IpAddr::V4(v4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn table(total: usize, per_source: usize) -> Arc<Table> {
        Table::new(Caps { total, per_source })
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_table_ends_the_connection_that_waited_longest() {
        let table = table(2, 0);
        let (old, busy, new) = (
            Arc::new(Line::new()),
            Arc::new(Line::new()),
            Arc::new(Line::new()),
        );
        let mut first = table.admit(Some(address(1)), &old).unwrap();
        let mut second = table.admit(Some(address(2)), &busy).unwrap();
        busy.begin();
        assert_eq!(
            table.admit(Some(address(3)), &new).err(),
            Some(Full::Total),
            "no connection has waited long enough"
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        let third = table.admit(Some(address(3)), &new).unwrap();
        assert!(
            first
                .ending
                .try_recv()
                .is_err_and(|e| e == oneshot::error::TryRecvError::Closed)
        );
        assert!(
            second
                .ending
                .try_recv()
                .is_err_and(|e| e == oneshot::error::TryRecvError::Empty)
        );
        // The ended connection does not count any more, neither before it is gone nor after.
        assert_eq!(table.len(), 2);
        drop(first);
        assert_eq!(table.len(), 2);
        drop((second, third));
        assert_eq!(table.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_were_ended_and_are_not_gone_are_bounded() {
        let table = table(64, 0);
        let idle = Arc::new(Line::new());
        let admit = || table.admit(None, &idle);
        let mut seats: Vec<Seat> = (0..64).map(|_| admit().unwrap()).collect();
        tokio::time::advance(Duration::from_secs(1)).await;
        // No client reads, so a connection that is told to end does not end.
        while let Ok(seat) = admit() {
            seats.push(seat);
            assert!(seats.len() < 100, "descriptors without a bound");
        }
        assert_eq!(admit().err(), Some(Full::Total));
        assert!(table.will_have_room());
        seats.drain(..64);
        assert!(admit().is_ok());
        table.end();
        drop(seats);
        assert_eq!(table.lock().leaving, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn without_descriptors_those_that_waited_longest_make_room_below_the_cap() {
        let table = table(1_000_000, 0);
        let idle = Arc::new(Line::new());
        let seats: Vec<Seat> = (0..100)
            .map(|_| table.admit(None, &idle).unwrap())
            .collect();
        tokio::time::advance(Duration::from_secs(1)).await;
        table.make_room();
        assert_eq!(table.len(), 96, "a part of what is open, not of the cap");
        drop(seats);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_at_its_cap_makes_room_among_its_own() {
        let table = table(10, 2);
        let lines: Vec<Arc<Line>> = (0..5).map(|_| Arc::new(Line::new())).collect();
        let mut other = table.admit(Some(address(1)), &lines[0]).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let mut seats: Vec<Seat> = lines[1..3]
            .iter()
            .map(|line| table.admit(Some(address(2)), line).unwrap())
            .collect();
        lines[1].begin();
        lines[2].begin();
        assert_eq!(
            table.admit(Some(address(2)), &lines[3]).err(),
            Some(Full::Source)
        );
        lines[2].waits();
        tokio::time::advance(Duration::from_secs(1)).await;
        seats.push(table.admit(Some(address(2)), &lines[3]).unwrap());
        assert!(
            seats[1]
                .ending
                .try_recv()
                .is_err_and(|e| e == oneshot::error::TryRecvError::Closed)
        );
        assert!(
            other
                .ending
                .try_recv()
                .is_err_and(|e| e == oneshot::error::TryRecvError::Empty)
        );
        // A proxy that sends the requests of many clients does not count.
        for _ in 0..5 {
            seats.push(table.admit(None, &lines[4]).unwrap());
        }
    }

    #[test]
    fn a_source_is_an_address_or_a_network_of_ipv6() {
        let parse = |text: &str| network(text.parse().unwrap());
        assert_eq!(parse("2001:db8:1:2:3::1"), parse("2001:db8:1:2::9"));
        assert_ne!(parse("2001:db8:1:2::1"), parse("2001:db8:1:3::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), parse("192.0.2.1"));
        assert_ne!(parse("192.0.2.1"), parse("192.0.2.2"));
    }
}
