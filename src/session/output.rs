//! What waits to be written to the network.

use bytes::BytesMut;
use zeroize::Zeroizing;

pub(super) struct Output {
    /// CONNECT until it is written, and how much of it is. It holds the secret, so it has a buffer that never grows, which
    /// would leave copies behind, and that is wiped.
    connect: Zeroizing<Vec<u8>>,
    connect_taken: usize,
    /// What follows CONNECT.
    rest: BytesMut,
    /// Bytes taken from both so far.
    taken: u64,
}

impl Output {
    /// Begins with CONNECT.
    pub fn new(connect: BytesMut) -> Self {
        Output {
            // The same memory, not a copy.
            connect: Zeroizing::new(Vec::from(connect)),
            connect_taken: 0,
            rest: BytesMut::new(),
            taken: 0,
        }
    }

    /// Where all packets but CONNECT go.
    pub fn rest(&mut self) -> &mut BytesMut {
        &mut self.rest
    }

    /// What comes next.
    pub fn next(&self) -> &[u8] {
        if self.connect.is_empty() { &self.rest } else { &self.connect[self.connect_taken..] }
    }

    pub fn is_past_connect(&self) -> bool {
        self.connect.is_empty()
    }

    /// The network has taken this many bytes of [`Self::next`].
    pub fn take(&mut self, count: usize) {
        self.taken += count as u64;
        if !self.connect.is_empty() {
            self.connect_taken += count;
            if self.connect_taken >= self.connect.len() {
                // Wipes it.
                self.connect = Zeroizing::default();
                self.connect_taken = 0;
            }
        } else if count >= self.rest.len() {
            // An idle connection holds no buffer.
            self.rest = BytesMut::new();
        } else {
            let _ = self.rest.split_to(count);
        }
    }

    /// Bytes taken since the connection began.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// What [`Self::taken`] will be when all of now has gone.
    pub fn end(&self) -> u64 {
        let connect = self.connect.len().saturating_sub(self.connect_taken);
        self.taken + connect as u64 + self.rest.len() as u64
    }
}
