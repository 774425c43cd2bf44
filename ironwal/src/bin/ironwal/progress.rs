//! How far a long command has come: a bar on standard error, if that is a terminal.
//!
//! It has no colours, with `NO_COLOR` and without.

use std::path::Path;
use std::vec;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ironwal::Progress;
use ironwal_format::names::StreamKey;

use crate::segments::Files;

const TEMPLATE: &str = "{bytes} of {total_bytes} [{bar:24}] {percent}%, {elapsed}  {wide_msg}";

/// How many bytes of a log were read, of those that there are.
#[derive(Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    /// The bytes of the streams before the one that is read.
    passed_len: u64,
    /// The bytes of this stream and of those behind it.
    lens: vec::IntoIter<u64>,
}

impl Bar {
    /// A bar over the bytes of these streams; it is never seen if standard error is no terminal.
    pub(crate) fn new(root: &Path, keys: &[String]) -> Self {
        let target = ProgressDrawTarget::stderr();
        if target.is_hidden() {
            let lens = Vec::new().into_iter();
            return Self { bar: ProgressBar::hidden(), passed_len: 0, lens };
        }
        let files = Files::open(root).ok();
        // What cannot be measured is passed over here: reading tells of it.
        let len_of = |key: &String| {
            let key = StreamKey::new(key).ok()?;
            let segments = files.as_ref()?.segments(&key).ok()?;
            Some(segments.iter().filter_map(|segment| segment.len).sum())
        };
        let lens: Vec<u64> = keys.iter().map(|key| len_of(key).unwrap_or(0)).collect();
        let bar = ProgressBar::with_draw_target(Some(lens.iter().sum()), target);
        let style = ProgressStyle::with_template(TEMPLATE).expect("the template is one");
        bar.set_style(style.progress_chars("=> "));
        Self { bar, passed_len: 0, lens: lens.into_iter() }
    }

    /// Shows how far the reading of a stream is.
    pub(crate) fn show(&self, key: &str, progress: Progress) {
        if self.bar.is_hidden() {
            return;
        }
        if progress.read_len == 0 {
            self.bar.set_message(key.escape_debug().to_string());
        }
        let stream_len = self.lens.as_slice().first().copied().unwrap_or(0);
        self.bar.set_position(self.passed_len + progress.read_len.min(stream_len));
    }

    /// The stream is done with; the next one follows.
    pub(crate) fn end_stream(&mut self) {
        self.passed_len += self.lens.next().unwrap_or(0);
        self.bar.set_position(self.passed_len);
    }

    /// Does something that may write to the terminal.
    pub(crate) fn step_aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
