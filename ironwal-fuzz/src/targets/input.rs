//! The bytes of a fuzzer, taken piece by piece.

/// What is left of an input. Where it has ended, everything is zero.
pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Input { rest: bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub(super) const fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// The next bytes: fewer where the input ends.
    pub(super) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(len).unwrap_or((self.rest, &[]));
        self.rest = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        array.iter_mut().zip(self.bytes(N)).for_each(|(to, from)| *to = *from);
        array
    }

    pub(super) fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    pub(super) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub(super) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub(super) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number below `end`, of a byte.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()).checked_rem(end).unwrap_or(0)
    }

    /// One of these.
    pub(super) fn choice<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        let at = self.below(N);
        *of.get(at).expect("a number below the count of them")
    }

    /// Eight switches.
    pub(super) fn switches(&mut self) -> Switches {
        Switches(self.byte())
    }
}

/// Eight switches, by number from the lowest bit on.
#[derive(Clone, Copy)]
pub(super) struct Switches(u8);

impl Switches {
    pub(super) const fn is_on(self, number: u8) -> bool {
        self.0 & (1 << number) != 0
    }
}
