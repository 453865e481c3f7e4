//! What takes records, and how several take the same ones.

use event::Record;

use crate::SinkError;

/// Something that takes the records of a run, in order.
///
/// Records may come in any order and be of any content without a panic: a sink shows what it got. After
/// an error the sink has closed itself: further calls do nothing and succeed, so a caller tells the
/// error once and decides whether the run goes on.
pub trait Sink {
    /// Takes one record.
    ///
    /// # Errors
    /// The output could not be written. Told once; see [`SinkError`].
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError>;

    /// Hands everything taken so far to the system, so that it outlives this process. For a caller that
    /// has nothing more to give for the moment.
    ///
    /// # Errors
    /// As [`Sink::record`].
    fn flush(&mut self) -> Result<(), SinkError>;

    /// Writes what comes at the end and flushes. Called once, also after a run that was cut short.
    ///
    /// # Errors
    /// As [`Sink::record`].
    fn finish(&mut self) -> Result<(), SinkError>;
}

impl<S: Sink + ?Sized> Sink for Box<S> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        (**self).record(record)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        (**self).flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        (**self).finish()
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        (**self).record(record)
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        (**self).flush()
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        (**self).finish()
    }
}

/// Gives every record to several sinks. One that fails does not keep it from the others. It can be moved to
/// a thread of its own, so that what drivers wait for does not wait for a disk.
#[derive(Default)]
pub struct Fanout<'a> {
    sinks: Vec<Box<dyn Sink + Send + 'a>>,
}

impl<'a> Fanout<'a> {
    /// No sinks yet: records are dropped.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sink, which gets its records after those added before.
    pub fn push(&mut self, sink: impl Sink + Send + 'a) {
        self.sinks.push(Box::new(sink));
    }

    /// The same, as a chain.
    #[must_use]
    pub fn with(mut self, sink: impl Sink + Send + 'a) -> Self {
        self.push(sink);
        self
    }

    fn each(
        &mut self,
        mut give: impl FnMut(&mut dyn Sink) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let mut errors: Vec<_> = self.sinks.iter_mut().filter_map(|sink| give(&mut **sink).err()).collect();
        match errors.len() {
            0 | 1 => errors.pop().map_or(Ok(()), Err),
            _ => Err(SinkError::Several(errors)),
        }
    }
}

impl Sink for Fanout<'_> {
    fn record(&mut self, record: &Record<'_>) -> Result<(), SinkError> {
        self.each(|sink| sink.record(record))
    }

    fn flush(&mut self) -> Result<(), SinkError> {
        self.each(|sink| sink.flush())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.each(|sink| sink.finish())
    }
}
