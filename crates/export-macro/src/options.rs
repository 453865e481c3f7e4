//! What may stand in `#[export(…)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, LitStr, Result, Token};

/// The attribute's arguments.
pub(crate) struct Options {
    /// An expression of type `crate::export::IrqlRule`.
    pub(crate) irql: TokenStream,
    /// The first Windows that has the routine.
    pub(crate) since: Option<Ident>,
    /// The module that exports it.
    pub(crate) module: Option<String>,
    /// Its name, where not the item's.
    pub(crate) name: Option<String>,
    /// Whether it is a variable.
    pub(crate) data: bool,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self {
            irql: quote!(crate::export::IrqlRule::Any),
            since: None,
            module: None,
            name: None,
            data: false,
        };
        let mut irql_given = false;
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            match key.to_string().as_str() {
                "irql" => {
                    irql_given = true;
                    options.irql = irql(input)?;
                }
                "since" => {
                    input.parse::<Token![=]>()?;
                    options.since = Some(input.parse()?);
                }
                "module" => {
                    input.parse::<Token![=]>()?;
                    options.module = Some(input.parse::<LitStr>()?.value());
                }
                "name" => {
                    input.parse::<Token![=]>()?;
                    options.name = Some(input.parse::<LitStr>()?.value());
                }
                "data" => options.data = true,
                _ => return Err(syn::Error::new(key.span(), "expected irql, since, module, name or data")),
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if !irql_given && !options.data {
            return Err(input.error("say the IRQL: `irql <= DISPATCH`, `irql == PASSIVE` or `irql any`"));
        }
        Ok(options)
    }
}

/// `any`, `<= LEVEL` or `== LEVEL`.
fn irql(input: ParseStream<'_>) -> Result<TokenStream> {
    if input.peek(Token![<=]) {
        input.parse::<Token![<=]>()?;
        let level = level(input)?;
        Ok(quote!(crate::export::IrqlRule::AtMost(#level)))
    } else if input.peek(Token![==]) {
        input.parse::<Token![==]>()?;
        let level = level(input)?;
        Ok(quote!(crate::export::IrqlRule::Exactly(#level)))
    } else {
        let word: Ident = input.parse()?;
        if word == "any" {
            Ok(quote!(crate::export::IrqlRule::Any))
        } else {
            Err(syn::Error::new(word.span(), "expected `any`, `<= LEVEL` or `== LEVEL`"))
        }
    }
}

fn level(input: ParseStream<'_>) -> Result<u8> {
    let word: Ident = input.parse()?;
    match word.to_string().as_str() {
        "PASSIVE" => Ok(0),
        "APC" => Ok(1),
        "DISPATCH" => Ok(2),
        "HIGH" => Ok(15),
        _ => Err(syn::Error::new(word.span(), "expected PASSIVE, APC, DISPATCH or HIGH")),
    }
}
