//! Entropy that can block the hashing threads: each new hash reads a salt from it.

use std::sync::{Condvar, Mutex};

use sealwright::testing::entropy::{Entropy, NoEntropy, SystemEntropy};

/// The system's generator behind a gate. Only hashing threads pass through the gate.
#[derive(Default)]
pub struct GatedEntropy {
    system: SystemEntropy,
    gate: Mutex<Gate>,
    moved: Condvar,
}

#[derive(Default)]
struct Gate {
    closed: bool,
    held: usize,
}

impl GatedEntropy {
    /// From now on, a hashing thread that reads a salt waits.
    pub fn close(&self) {
        self.gate.lock().unwrap().closed = true;
    }

    /// Lets all waiting hashing threads continue.
    pub fn open(&self) {
        self.gate.lock().unwrap().closed = false;
        self.moved.notify_all();
    }

    /// How many hashing threads are waiting.
    pub fn held(&self) -> usize {
        self.gate.lock().unwrap().held
    }
}

impl Entropy for GatedEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        if std::thread::current()
            .name()
            .is_some_and(|name| name.starts_with("hash-"))
        {
            let mut gate = self.gate.lock().unwrap();
            gate.held += 1;
            gate = self.moved.wait_while(gate, |gate| gate.closed).unwrap();
            gate.held -= 1;
        }
        self.system.fill(bytes)
    }
}
