//! What reports say of a stack.

use event::Frame;

/// A frame in a line: `LogWorker+0x64  late.sys+0x21a4`.
pub(crate) fn line(frame: &Frame<'_>) -> String {
    let place = match &frame.module {
        Some(module) => format!("{module}+{:#x}", frame.offset),
        None => format!("{:#x}", frame.address),
    };
    match &frame.symbol {
        Some(symbol) => format!("{symbol}  {place}"),
        None => place,
    }
}

/// The image of a frame by its file name, also where that was unloaded in the meantime.
pub(crate) fn module<'a>(frame: &'a Frame<'_>) -> Option<&'a str> {
    let module = frame.module.as_deref()?;
    let bare = module
        .strip_prefix("<unloaded>")
        .or_else(|| module.strip_prefix("<unloaded ").and_then(|rest| rest.strip_suffix('>')));
    Some(bare.unwrap_or(module))
}

/// The function of a frame, without the place in it.
pub(crate) fn function<'a>(frame: &'a Frame<'_>) -> Option<&'a str> {
    let symbol = frame.symbol.as_deref()?;
    Some(symbol.rsplit_once("+0x").map_or(symbol, |(function, _)| function))
}

/// The frame that is to blame: the innermost of the driver, else the innermost of all.
pub(crate) fn culprit<'s, 'f>(stack: &'s [Frame<'f>], driver_file: Option<&str>) -> Option<&'s Frame<'f>> {
    let of_driver = |frame: &&Frame<'_>| {
        let (module, file) = (module(frame), driver_file);
        module.zip(file).is_some_and(|(module, file)| module.eq_ignore_ascii_case(file))
    };
    stack.iter().find(of_driver).or_else(|| stack.first())
}
