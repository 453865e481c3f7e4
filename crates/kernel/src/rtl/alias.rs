//! Exports that are routines of the machine, under the names NT has for them.

/// Puts routines that are written elsewhere into the export table: name, IRQL rule, first Windows, summary,
/// parameters, address.
macro_rules! alias {
    ($( $name:literal, $irql:ident, $since:ident, $summary:literal, [$($parameter:literal: $kind:literal),*] => $routine:path; )*) => { $(
        const _: () = {
            #[linkme::distributed_slice(crate::export::EXPORTS)]
            #[linkme(crate = linkme)]
            static ENTRY: crate::export::Export = crate::export::Export {
                module: "ntoskrnl.exe",
                name: $name,
                address: crate::export::Address($routine as *const ()),
                kind: crate::export::Kind::Code,
                irql: crate::rtl::alias::irql::$irql,
                naked: true,
                since: nt_abi::Since::$since,
                summary: $summary,
                parameters: &[$(($parameter, $kind)),*],
                source: concat!(file!(), ":", line!()),
            };
        };
    )* };
}
pub(crate) use alias;

/// The rules in short.
pub(crate) mod irql {
    use crate::export::IrqlRule;

    pub(crate) const ANY: IrqlRule = IrqlRule::Any;
    pub(crate) const DISPATCH: IrqlRule = IrqlRule::AtMost(2);
}
