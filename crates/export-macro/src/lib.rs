//! The attribute that puts a kernel routine into the export table.
//!
//! Adding a routine to Callboard's kernel is writing one documented function under [`macro@export`]. The
//! attribute notes where the function returns and adds one entry to `crate::export::EXPORTS`, from which
//! import binding, `MmGetSystemRoutineAddress`, `callboard exports` and the rest all read.
#![forbid(unsafe_code)]

mod options;

use proc_macro::TokenStream;
use quote::{format_ident, quote};
use syn::{Expr, ExprLit, FnArg, Item, Lit, Meta, parse_macro_input, parse_quote};

/// Puts a routine, or a variable that drivers import, into the export table.
///
/// ```text
/// /// Sets an event and says what state it had. // <- the first sentence is what `callboard exports` shows
/// #[export(irql <= DISPATCH)]                   // or `irql == PASSIVE`, or `irql any`
/// pub unsafe extern "win64" fn KeSetEvent(event: *mut KEVENT, increment: i32, wait: u8) -> i32 { … }
///
/// #[export(irql == PASSIVE, since = Win10_1709)]                        // first Windows that has it
/// #[export(irql <= APC, module = "FLTMGR.SYS")]                         // default: ntoskrnl.exe
/// #[export(irql any, name = "memcpy")]                                  // another name than the item's
/// #[export(data)] pub static PsProcessType: DataExport = …;             // a variable
/// ```
///
/// Drivers reach a routine through a gate that looks at the rules of the call first
/// (`rule/call.rs` of the kernel). The kernel's own calls do not pass it.
#[proc_macro_attribute]
pub fn export(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let options = parse_macro_input!(attribute as options::Options);
    let mut item = parse_macro_input!(item as Item);
    let (ident, attributes, parameters) = match &item {
        Item::Fn(function) => {
            let parameters = function.sig.inputs.iter().map(|input| match input {
                FnArg::Typed(typed) => {
                    let (name, kind) = (&typed.pat, &typed.ty);
                    (quote!(#name).to_string(), quote!(#kind).to_string())
                }
                FnArg::Receiver(_) => ("self".into(), String::new()),
            });
            (&function.sig.ident, &function.attrs, parameters.collect::<Vec<_>>())
        }
        Item::Static(variable) => (&variable.ident, &variable.attrs, Vec::new()),
        other => {
            return syn::Error::new_spanned(other, "only functions and statics can be exported")
                .to_compile_error()
                .into();
        }
    };
    let Some(summary) = first_sentence(attributes) else {
        return syn::Error::new_spanned(ident, "an exported routine needs a doc comment")
            .to_compile_error()
            .into();
    };
    let name = options.name.unwrap_or_else(|| ident.to_string());
    let module = options.module.unwrap_or_else(|| "ntoskrnl.exe".into());
    let since = options.since.unwrap_or_else(|| format_ident!("Win2000"));
    let irql = options.irql;
    let entry = format_ident!("EXPORT_{}", ident);
    // What drivers call where something is to be checked first: see `rule/call.rs` of the kernel.
    let checked = format_ident!("checked_{}", ident);
    let (address, kind) = if options.data {
        (quote!(&raw const #ident as *const ()), quote!(Data))
    } else {
        (quote!(#checked as *const ()), quote!(Code))
    };
    let gate = (!options.data).then(|| {
        quote! {
            #[unsafe(naked)]
            unsafe extern "win64" fn #checked() {
                crate::rule::call::gate!(#ident, #entry, #name, #irql)
            }
        }
    });
    let parameters = parameters.iter().map(|(name, kind)| quote!((#name, #kind)));
    // `#[unsafe(naked)]`, or a place of its own: neither has room for anything else.
    let naked = attributes.iter().any(|attribute| attribute.path().is_ident("unsafe"));
    if let Item::Fn(function) = &mut item
        && !naked
    {
        // A stressed kernel stops drivers right after their calls: see `stress/call.rs` of the kernel.
        let watched = parse_quote!(let _returning = crate::stress::Returning::begin(););
        function.block.stmts.insert(0, watched);
    }
    quote! {
        #item

        #gate

        #[linkme::distributed_slice(crate::export::EXPORTS)]
        #[linkme(crate = linkme)]
        static #entry: crate::export::Export = crate::export::Export {
            module: #module,
            name: #name,
            address: crate::export::Address(#address),
            kind: crate::export::Kind::#kind,
            irql: #irql,
            naked: #naked,
            since: nt_abi::Since::#since,
            summary: #summary,
            parameters: &[#(#parameters),*],
            source: concat!(file!(), ":", line!()),
        };
    }
    .into()
}

/// The first sentence of an item's documentation.
fn first_sentence(attributes: &[syn::Attribute]) -> Option<String> {
    let mut text = String::new();
    for attribute in attributes {
        let Meta::NameValue(pair) = &attribute.meta else { continue };
        let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &pair.value else { continue };
        if !pair.path.is_ident("doc") {
            continue;
        }
        let line = line.value();
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line);
    }
    let end = text.find(". ").unwrap_or_else(|| text.trim_end_matches('.').len());
    text.truncate(end);
    (!text.is_empty()).then_some(text)
}
