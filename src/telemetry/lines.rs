//! Lines on their way to the output, several in one piece.
//!
//! Owns how long the thread that writes lines pauses between two pieces. Must not know what a line
//! says.

use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

/// How long lines may wait for others. A busy server would otherwise wake the thread for each line,
/// which takes longer than to make the line. After a quiet time, a line is written at once.
const PAUSE: Duration = Duration::from_millis(5);

/// Lines are written once they have this many bytes, which a pipe takes in one piece.
const MAX_PIECE: usize = 32 * 1024;

/// A writer that writes its lines when it is flushed, and then pauses. Only for a thread that does
/// nothing else.
pub(super) struct LinesWriter<W> {
    output: W,
    waiting: Vec<u8>,
}

impl<W: Write> LinesWriter<W> {
    /// Lines for this output.
    pub(super) fn to(output: W) -> Self {
        Self {
            output,
            waiting: Vec::new(),
        }
    }

    /// A piece that the output refuses is lost, as a line would be.
    fn write_waiting(&mut self) -> io::Result<()> {
        let written = self.output.write_all(&self.waiting);
        self.waiting.clear();
        written
    }
}

impl<W: Write> Write for LinesWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.waiting.len().saturating_add(line.len()) > MAX_PIECE {
            self.write_waiting()?;
        }
        self.waiting.extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_waiting()?;
        self.output.flush()?;
        sleep(PAUSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// The pieces in which something was written.
    #[derive(Clone, Default)]
    struct Pieces(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Pieces {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(piece.to_vec());
            Ok(piece.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_together_in_pieces_of_bounded_size() {
        let pieces = Pieces::default();
        let mut lines = LinesWriter::to(pieces.clone());
        let line = vec![b'a'; 1_000];
        for _ in 0..40 {
            lines.write_all(&line).unwrap();
        }
        let lengths = |pieces: &Pieces| -> Vec<usize> {
            pieces.0.lock().unwrap().iter().map(Vec::len).collect()
        };
        assert_eq!(lengths(&pieces), [32_000]);
        lines.flush().unwrap();
        assert_eq!(lengths(&pieces), [32_000, 8_000]);
        lines.write_all(&vec![b'b'; 100_000]).unwrap();
        lines.flush().unwrap();
        assert_eq!(lengths(&pieces), [32_000, 8_000, 100_000]);
    }

    #[test]
    fn a_piece_that_fails_is_not_written_again() {
        struct Failing(Pieces, bool);
        impl Write for Failing {
            fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.1, false) {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                self.0.write(piece)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let pieces = Pieces::default();
        let mut lines = LinesWriter::to(Failing(pieces.clone(), true));
        lines.write_all(b"first\n").unwrap();
        lines.flush().unwrap_err();
        lines.write_all(b"second\n").unwrap();
        lines.flush().unwrap();
        assert_eq!(*pieces.0.lock().unwrap(), [b"second\n"]);
    }
}
