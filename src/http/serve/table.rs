//! The table of open connections: how many there may be, in all and from one address.
//!
//! Owns the count, also of newcomers that wait for a place. Must not know HTTP, or which connections
//! make room.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::line::Line;
use super::slots::{ConnectionEntry, OpenSlots, leaving_limit};

/// How many newcomers may wait for a place at once.
const MAX_WAITING: usize = 256;

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

/// A connection's place in the table. It is given back when dropped.
pub(super) struct Seat {
    table: Arc<Table>,
    number: u64,
    source: Option<IpAddr>,
    /// Ready when the connection must end: with the time that this may take, or with an error if
    /// the process stops.
    pub ending: oneshot::Receiver<Duration>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.table.lock();
        if open.remove(self.number).is_none() {
            open.leaving = open.leaving.saturating_sub(1);
            open.update_source(self.source, |slots| {
                slots.leaving = slots.leaving.saturating_sub(1);
            });
        }
    }
}

/// A newcomer's right to wait for a place. It is given back when dropped.
pub(super) struct Wait {
    table: Arc<Table>,
}

impl Wait {
    /// Whether the newcomer must give way to clients of other sources.
    pub(super) fn is_over(&self) -> bool {
        let open = self.table.lock();
        open.entries.len() + open.waiting > self.table.caps.total
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut open = self.table.lock();
        open.waiting = open.waiting.saturating_sub(1);
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
    /// If there is no free place in all, the connections that have waited longest for their clients
    /// end, whatever they wait for: a request, the rest of a head or of a body, a client that does
    /// not read. If its source has too many, connections of this source end, first of all those
    /// without a complete request. A connection whose response is being made keeps its place.
    pub(super) fn admit(
        self: &Arc<Self>,
        source: Option<IpAddr>,
        line: &Arc<Line>,
    ) -> Result<Seat, Full> {
        let source = source.map(network);
        let mut open = self.lock();
        if let Some(source) = source.filter(|_| self.caps.per_source > 0) {
            let count = open.sources.get(&source).map_or(0, |s| s.count);
            if count >= self.caps.per_source && !open.make_room_in(source, self.caps.per_source) {
                return Err(Full::Source);
            }
        }
        if open.entries.len() >= self.caps.total && !open.make_room(self.caps.total) {
            return Err(Full::Total);
        }
        let number = open.next;
        open.next += 1;
        let (told, ending) = oneshot::channel();
        if open.is_closed {
            line.end_after_answer();
            open.leaving += 1;
        } else {
            let line = Arc::clone(line);
            let entry = ConnectionEntry { source, line, told };
            open.entries.insert(number, entry);
            if let Some(source) = source {
                open.sources.entry(source).or_default().count += 1;
            }
        }
        drop(open);
        Ok(Seat {
            table: Arc::clone(self),
            number,
            source,
            ending,
        })
    }

    /// Lets a newcomer whose source has too many connections wait for a place, as long as clients
    /// of other sources find a quarter of all places free, and not too many wait.
    pub(super) fn wait(self: &Arc<Self>) -> Option<Wait> {
        let mut open = self.lock();
        let is_crowded = open.entries.len() + open.waiting >= self.caps.total - self.caps.total / 4;
        if is_crowded || open.waiting >= MAX_WAITING {
            return None;
        }
        open.waiting += 1;
        drop(open);
        let table = Arc::clone(self);
        Some(Wait { table })
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

    /// Whether the number of ending connections has reached its limit.
    pub(super) fn is_emptying(&self) -> bool {
        self.lock().leaving >= leaving_limit(self.caps.total)
    }

    /// Ends the connections that have waited longest for their clients. For the case that the
    /// system has no file descriptor left although the caps would allow more connections.
    pub(super) fn make_room(&self) {
        self.lock().make_room(self.caps.total);
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
        open.is_closed = true;
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().entries.len()
    }

    fn lock(&self) -> MutexGuard<'_, OpenSlots> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
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
    use super::super::line::{OwnLine, Phase};
    use super::super::slots::{CROWDED_LEAVING_TIMEOUT, LEAVING_PART, LEAVING_TIMEOUT};
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
        assert!(first.ending.try_recv().is_ok());
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
    async fn a_request_that_is_held_makes_room_if_no_other_connection_can() {
        for source in [None, Some(address(1))] {
            let table = table(3, 3);
            let lines: Vec<Arc<Line>> = (0..5).map(|_| Arc::new(Line::new())).collect();
            let admit = |number: usize| table.admit(source, &lines[number]);
            let mut seats = vec![admit(0).unwrap(), admit(1).unwrap(), admit(2).unwrap()];
            lines[1].begin();
            lines[2].begin();
            let (line, busy) = (OwnLine::new(&lines[1]), OwnLine::new(&lines[2]));
            let held = tokio::spawn(async move { line.hold(std::future::pending::<()>()).await });
            tokio::time::sleep(Duration::from_secs(1)).await;
            seats.push(admit(3).unwrap());
            assert!(
                seats[0].ending.try_recv().is_ok(),
                "an idle one comes first"
            );
            // One connection in sixteen may be ending at once, here one alone.
            drop(seats.remove(0));
            lines[3].begin();
            assert!(!held.is_finished());
            seats.push(admit(4).unwrap());
            assert!(seats[0].ending.try_recv().is_ok());
            assert_eq!(held.await.unwrap(), None, "the request is answered now");
            // Whoever is not held is not disturbed, and a recall from before is forgotten.
            lines[2].recall();
            assert_eq!(busy.hold(std::future::ready(7)).await, Some(7));
            assert!(lines[1].held_since().is_none() && lines[2].held_since().is_none());
        }
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
        assert!(seats[1].ending.try_recv().is_ok());
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

    #[tokio::test(start_paused = true)]
    async fn connections_of_one_source_that_end_slowly_take_no_place_of_another() {
        let table = table(64, 32);
        let line = Arc::new(Line::new());
        let mut seats: Vec<Seat> = (0..32)
            .map(|_| table.admit(Some(address(1)), &line).unwrap())
            .collect();
        tokio::time::advance(Duration::from_secs(1)).await;
        // No client reads, so a connection that is told to end does not end.
        let full = loop {
            match table.admit(Some(address(1)), &line) {
                Ok(seat) => seats.push(seat),
                Err(full) => break full,
            }
        };
        assert_eq!(
            (full, seats.len()),
            (Full::Source, 32 + 32 / LEAVING_PART + 1)
        );
        seats.extend((0..32).map(|_| table.admit(Some(address(2)), &line).unwrap()));
        let times: Vec<Duration> = seats
            .iter_mut()
            .filter_map(|seat| seat.ending.try_recv().ok())
            .collect();
        assert_eq!(
            times,
            [
                LEAVING_TIMEOUT,
                CROWDED_LEAVING_TIMEOUT,
                CROWDED_LEAVING_TIMEOUT
            ]
        );
        drop(seats);
        assert!(table.lock().sources.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_do_not_complete_end_before_a_kept_connection_of_their_source() {
        let table = table(64, 16);
        let kept = Arc::new(Line::new());
        let mut seat = table.admit(Some(address(1)), &kept).unwrap();
        kept.begin();
        kept.set_phase(Phase::Idle);
        kept.waits();
        tokio::time::advance(Duration::from_secs(10)).await;
        let line = Arc::new(Line::new());
        let burst: Vec<Seat> = (0..15)
            .map(|_| table.admit(Some(address(1)), &line).unwrap())
            .collect();
        assert_eq!(
            table.admit(Some(address(1)), &line).err(),
            Some(Full::Source),
            "the burst has not waited long enough, and the kept connection is left alone"
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        let later = table.admit(Some(address(1)), &line).unwrap();
        assert!(seat.ending.try_recv().is_err());
        // Without such requests, the kept connection makes room.
        drop(burst);
        line.begin();
        let busy: Vec<Seat> = (0..15)
            .map_while(|_| table.admit(Some(address(1)), &line).ok())
            .collect();
        assert_eq!(busy.len(), 15);
        assert!(seat.ending.try_recv().is_ok());
        drop(later);
    }

    #[tokio::test(start_paused = true)]
    async fn newcomers_that_wait_leave_places_to_other_sources() {
        let table = table(64, 32);
        let line = Arc::new(Line::new());
        let mut seats: Vec<Seat> = (0..32)
            .map(|_| table.admit(Some(address(1)), &line).unwrap())
            .collect();
        let waits: Vec<Wait> = std::iter::from_fn(|| table.wait()).collect();
        assert_eq!(waits.len(), 16);
        seats.extend((0..16).map(|_| table.admit(Some(address(2)), &line).unwrap()));
        assert!(!waits[0].is_over());
        seats.push(table.admit(Some(address(2)), &line).unwrap());
        assert!(waits[0].is_over());
        drop(waits);
        assert_eq!(table.lock().waiting, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_admitted_after_the_end_is_told_to_end() {
        let table = table(8, 0);
        table.end();
        let line = Arc::new(Line::new());
        let mut seat = table.admit(None, &line).unwrap();
        assert!(line.is_last() && seat.ending.try_recv().is_err());
        assert_eq!(table.lock().leaving, 1);
        drop(seat);
        assert_eq!(table.lock().leaving, 0);
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
