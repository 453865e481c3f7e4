//! Security: tokens, SIDs, ACLs.
//!
//! ```text
//!   sid.rs exports.rs  security ids, SeExports     token.rs  tokens, and whose they are
//!   acl.rs             access control lists        query.rs  what tokens tell
//!   descriptor.rs      security descriptors        check.rs  subjects, privileges, access checks
//!   image_name.rs      SeLocateProcessImageName    object.rs tokens by handle, descriptors of objects
//! ```

pub mod acl;
pub mod check;
pub mod descriptor;
pub mod exports;
pub mod image_name;
pub mod object;
pub mod query;
pub mod sid;
pub mod signing;
pub mod token;

pub(crate) use token::PrimaryToken;
