//! A second reading of RFC 6455, small and slow, that shares no code with the crate: what one side may send.
//!
//! Rules: bytes go in as they come; every check is made with the first byte that allows it. It reads what the
//! peers send (and says what the engine must see) and what the engine sends (which must be without fault).

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) opcode: u8,
    /// The type of its message; for control frames its own.
    pub(crate) message: u8,
    pub(crate) fin: bool,
    pub(crate) payload: Vec<u8>,
    pub(crate) mask: Option<[u8; 4]>,
}

/// Largest frame, largest message, most fragments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) frame: u64,
    pub(crate) message: u64,
    pub(crate) fragments: u64,
}

/// Text that comes in pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text(Vec<u8>);

impl Text {
    /// Takes the next piece; `false` when no continuation makes it UTF-8.
    pub(crate) fn take(&mut self, piece: &[u8]) -> bool {
        self.0.extend_from_slice(piece);
        let done = match std::str::from_utf8(&self.0) {
            Ok(_) => self.0.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return false,
        };
        self.0.drain(..done);
        true
    }

    pub(crate) fn may_end(&self) -> bool {
        self.0.is_empty()
    }
}

pub(crate) fn is_legal_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[derive(Debug)]
struct Head {
    opcode: u8,
    message: u8,
    fin: bool,
    len: u64,
    mask: Option<[u8; 4]>,
}

/// The reader of one stream.
#[derive(Debug)]
pub(crate) struct Reference {
    masked: bool,
    check_utf8: bool,
    bounds: Option<Bounds>,
    header: Vec<u8>,
    admitted: Option<u8>,
    head: Option<Head>,
    payload: Vec<u8>,
    open: Option<u8>,
    size: u64,
    fragments: u64,
    text: Text,
    /// Whole legal frames, in order.
    pub(crate) frames: Vec<Seen>,
    /// The close code for the first fault, and what it was.
    pub(crate) fault: Option<(u16, &'static str)>,
    /// Whether a legal close frame has come.
    pub(crate) closed: bool,
    /// Bytes after it.
    pub(crate) after_close: usize,
}

impl Reference {
    pub(crate) fn new(masked: bool, check_utf8: bool, bounds: Option<Bounds>) -> Self {
        Reference {
            masked,
            check_utf8,
            bounds,
            header: Vec::new(),
            admitted: None,
            head: None,
            payload: Vec::new(),
            open: None,
            size: 0,
            fragments: 0,
            text: Text::default(),
            frames: Vec::new(),
            fault: None,
            closed: false,
            after_close: 0,
        }
    }

    /// Whether the stream could end here without a half frame.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.header.is_empty()
    }

    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while let (Some((&next, rest)), None) = (bytes.split_first(), self.fault) {
            if self.closed {
                self.after_close += bytes.len();
                return;
            }
            let result = if self.head.is_none() {
                bytes = rest;
                self.header.push(next);
                self.read_header()
            } else {
                let missing = self.missing().min(bytes.len());
                let (piece, rest) = bytes.split_at(missing);
                bytes = rest;
                self.read_payload(piece)
            };
            self.fault = result.and_then(|()| self.finish()).err();
        }
    }

    fn missing(&self) -> usize {
        self.head.as_ref().map_or(0, |head| head.len as usize - self.payload.len())
    }

    fn read_header(&mut self) -> Result<(), (u16, &'static str)> {
        let header = &self.header;
        let first = header[0];
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0F);
        refuse(first & 0x70 != 0, "RSV bits")?;
        refuse(!matches!(opcode, 0 | 1 | 2 | 8 | 9 | 10), "opcode")?;
        refuse(opcode >= 8 && !fin, "fragmented control frame")?;
        let Some(&second) = header.get(1) else { return Ok(()) };
        refuse((second & 0x80 != 0) != self.masked, "masking")?;
        let short = second & 0x7F;
        refuse(opcode >= 8 && short > 125, "long control frame")?;
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some(length) = header.get(2..2 + extended) else { return Ok(()) };
        let long = length.iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
        refuse(short == 126 && long < 126, "length of two bytes not minimal")?;
        refuse(short == 127 && long < 65536, "length of eight bytes not minimal")?;
        refuse(long >> 63 != 0, "length of more than 63 bits")?;
        let len = if extended == 0 { u64::from(short) } else { long };
        if self.admitted.is_none() {
            self.admitted = Some(self.admit(opcode, fin, len)?);
        }
        let mask_at = 2 + extended;
        let mask = self.masked.then(|| self.header.get(mask_at..mask_at + 4));
        let mask = match mask {
            Some(None) => return Ok(()),
            Some(Some(mask)) => Some(std::array::from_fn(|i| mask[i])),
            None => None,
        };
        let message = self.admitted.take().unwrap();
        self.head = Some(Head { opcode, message, fin, len, mask });
        Ok(())
    }

    fn admit(&mut self, opcode: u8, fin: bool, len: u64) -> Result<u8, (u16, &'static str)> {
        if opcode >= 8 {
            return Ok(opcode);
        }
        refuse(opcode == CONTINUATION && self.open.is_none(), "nothing to continue")?;
        refuse(opcode != CONTINUATION && self.open.is_some(), "message inside a message")?;
        if opcode != CONTINUATION {
            (self.size, self.fragments, self.text) = (0, 0, Text::default());
        }
        self.size = self.size.saturating_add(len);
        self.fragments += 1;
        if let Some(bounds) = self.bounds {
            let over = len > bounds.frame
                || self.size > bounds.message
                || self.fragments > bounds.fragments;
            if over {
                return Err((1009, "limit"));
            }
        }
        let message = self.open.unwrap_or(opcode);
        self.open = (!fin).then_some(message);
        Ok(message)
    }

    fn read_payload(&mut self, piece: &[u8]) -> Result<(), (u16, &'static str)> {
        let Some(head) = &self.head else { return Ok(()) };
        let start = self.payload.len();
        self.payload.extend_from_slice(piece);
        if let Some(mask) = head.mask {
            for (i, byte) in self.payload.iter_mut().enumerate().skip(start) {
                *byte ^= mask[i % 4];
            }
        }
        if head.message == TEXT && self.check_utf8 && !self.text.take(&self.payload[start..]) {
            return Err((1007, "text"));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), (u16, &'static str)> {
        if self.head.is_none() || self.missing() > 0 {
            return Ok(());
        }
        let Some(Head { opcode, message, fin, mask, .. }) = self.head.take() else { return Ok(()) };
        self.header.clear();
        let payload = std::mem::take(&mut self.payload);
        if message == TEXT && self.check_utf8 && fin && !self.text.may_end() {
            return Err((1007, "end of text"));
        }
        if opcode == CLOSE {
            check_close(&payload)?;
            self.closed = true;
        }
        self.frames.push(Seen { opcode, message, fin, payload, mask });
        Ok(())
    }
}

fn check_close(payload: &[u8]) -> Result<(), (u16, &'static str)> {
    match payload {
        [] => Ok(()),
        [_] => Err((1002, "half a close code")),
        [high, low, ..] if !is_legal_code(u16::from_be_bytes([*high, *low])) => {
            Err((1002, "close code"))
        }
        [_, _, reason @ ..] => std::str::from_utf8(reason).map(drop).map_err(|_| (1007, "reason")),
    }
}

fn refuse(condition: bool, what: &'static str) -> Result<(), (u16, &'static str)> {
    if condition {
        return Err((1002, what));
    }
    Ok(())
}
