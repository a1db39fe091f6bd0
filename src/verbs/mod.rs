//! One function per command; it answers, it never speaks.
//!
//! The table is the one place that knows which verbs there are: HELP, FEAT, the gate before the log-in and the tests
//! read it.

pub mod about;
pub mod access;
pub mod facts;
pub mod listing;
pub mod names;
pub mod parameters;
pub mod refusal;
pub mod service;
pub mod site;

use std::time::Instant;

use crate::config::Policy;
use crate::session::Session;
use crate::transfer::Transfer;
use crate::transfer::listing::Listing;
use crate::wire::command::VerbName;
use crate::wire::reply::Reply;

/// What a verb answers.
#[derive(Debug)]
pub enum Answer<'s, 'm> {
    /// One reply.
    Say(Reply<'s>),
    /// One reply, but not before an instant: whoever guesses, waits.
    SayAt(Reply<'s>, Instant),
    /// A transfer; it brings its own replies.
    Move(Transfer<'s, 'm>),
    /// A listing inside a reply.
    Recite(Listing<'s, 'm>),
    /// The last reply of the session.
    Close(Reply<'s>),
    /// The same, but not before an instant.
    CloseAt(Reply<'s>, Instant),
}

/// An answer, or a refusal.
pub type Outcome<'s, 'm> = Result<Answer<'s, 'm>, Reply<'static>>;

/// What a verb does.
pub type Run = for<'s, 'm, 'a> fn(&'s mut Session<'m>, &'a [u8]) -> Outcome<'s, 'm>;

/// What must have happened before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// The client's address must be allowed its next guess at a password.
    Turn,
    /// A log-in, and a port for a passive data connection; where a range is busy, it is waited for.
    Port,
    /// A log-in.
    Login,
    /// A log-in of one who may change things.
    Write,
}

/// Whether an argument follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// It must not: 501.
    Nothing,
    /// It may; the verb ignores it, reads it, or has something to do before it misses it.
    Maybe,
    /// It must: 501 without.
    Argument,
}

/// Under which settings a verb is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Under all.
    Always,
    /// Unless active data connections are switched off.
    Active,
    /// Unless passive ones are.
    Passive,
    /// Unless passive ones or EPSV are.
    ExtendedPassive,
    /// Never: the verb is known, and answered 502.
    Never,
}

impl Offer {
    /// Whether the settings offer it.
    pub fn holds(self, policy: &Policy) -> bool {
        match self {
            Self::Always => true,
            Self::Active => policy.active,
            Self::Passive => policy.passive,
            Self::ExtendedPassive => policy.passive && policy.epsv,
            Self::Never => false,
        }
    }
}

/// A row of the table.
#[derive(Debug)]
pub struct Verb {
    /// Its name, in upper case.
    pub name: &'static str,
    /// What must have happened before.
    pub needs: Needs,
    /// Whether an argument follows.
    pub takes: Takes,
    /// Under which settings it is offered.
    pub offer: Offer,
    /// Its line in FEAT (RFC 2389); empty for verbs of RFC 959, which have none.
    pub feature: &'static str,
    /// What HELP says follows the verb.
    pub syntax: &'static str,
    /// What it does.
    pub run: Run,
}

use Needs::{Login, Nothing as Free, Port, Turn, Write};
use Offer::{Active, Always, ExtendedPassive, Never, Passive};
use Takes::{Argument, Maybe, Nothing};

const fn row(
    name: &'static str,
    needs: Needs,
    takes: Takes,
    offer: Offer,
    feature: &'static str,
    syntax: &'static str,
    run: Run,
) -> Verb {
    Verb {
        name,
        needs,
        takes,
        offer,
        feature,
        syntax,
        run,
    }
}

/// Every verb.  The text of the feature MLST is put together by `about::feat`, since it tells the present choice.
#[rustfmt::skip] // a table is read by columns
pub static VERBS: &[Verb] = &[
    //  name    needs  takes     offer            feature                    syntax                            run
    row("USER", Free,  Argument, Always,          "",                        "<SP> user-name",                 access::user),
    row("PASS", Turn,  Maybe,    Always,          "",                        "<SP> password",                  access::pass),
    row("ACCT", Free,  Argument, Always,          "",                        "<SP> account",                   access::acct),
    row("REIN", Free,  Maybe,    Always,          "",                        "",                               access::rein),
    row("QUIT", Free,  Maybe,    Always,          "",                        "",                               access::quit),
    row("HOST", Free,  Argument, Always,          "HOST",                    "<SP> host-name",                 access::host),
    row("AUTH", Free,  Maybe,    Never,           "",                        "<SP> mechanism",                 about::never),
    row("CWD",  Login, Maybe,    Always,          "",                        "<SP> pathname",                  names::cwd),
    row("XCWD", Login, Maybe,    Always,          "",                        "<SP> pathname",                  names::cwd),
    row("CDUP", Login, Nothing,  Always,          "",                        "",                               names::cdup),
    row("XCUP", Login, Nothing,  Always,          "",                        "",                               names::cdup),
    row("PWD",  Login, Nothing,  Always,          "",                        "",                               names::pwd),
    row("XPWD", Login, Nothing,  Always,          "",                        "",                               names::pwd),
    row("MKD",  Write, Argument, Always,          "",                        "<SP> pathname",                  names::mkd),
    row("XMKD", Write, Argument, Always,          "",                        "<SP> pathname",                  names::mkd),
    row("RMD",  Write, Argument, Always,          "",                        "<SP> pathname",                  names::rmd),
    row("XRMD", Write, Argument, Always,          "",                        "<SP> pathname",                  names::rmd),
    row("DELE", Write, Argument, Always,          "",                        "<SP> pathname",                  names::dele),
    row("RNFR", Write, Argument, Always,          "",                        "<SP> pathname",                  names::rnfr),
    row("RNTO", Write, Argument, Always,          "",                        "<SP> pathname",                  names::rnto),
    row("SMNT", Login, Maybe,    Never,           "",                        "<SP> pathname",                  about::never),
    row("TYPE", Login, Argument, Always,          "",                        "<SP> A | A N | I | L 8",         parameters::r#type),
    row("STRU", Login, Argument, Always,          "",                        "<SP> F",                         parameters::stru),
    row("MODE", Login, Argument, Always,          "",                        "<SP> S",                         parameters::mode),
    row("PORT", Login, Maybe,    Active,          "",                        "<SP> h1,h2,h3,h4,p1,p2",         parameters::port),
    row("EPRT", Login, Maybe,    Active,          "EPRT",                    "<SP> |1-or-2|address|port|",     parameters::eprt),
    row("PASV", Port,  Nothing,  Passive,         "PASV",                    "",                               parameters::pasv),
    row("EPSV", Port,  Maybe,    ExtendedPassive, "EPSV",                    "[<SP> 1 | 2 | ALL]",             parameters::epsv),
    row("RETR", Login, Argument, Always,          "",                        "<SP> pathname",                  service::retr),
    row("STOR", Write, Argument, Always,          "",                        "<SP> pathname",                  service::stor),
    row("STOU", Write, Maybe,    Always,          "",                        "[<SP> pathname]",                service::stou),
    row("APPE", Write, Argument, Always,          "",                        "<SP> pathname",                  service::appe),
    row("ALLO", Login, Argument, Always,          "",                        "<SP> octets [<SP> R <SP> octets]", service::allo),
    row("REST", Login, Argument, Always,          "REST STREAM",             "<SP> octets",                    service::rest),
    row("ABOR", Login, Nothing,  Always,          "",                        "",                               service::abor),
    row("LIST", Login, Maybe,    Always,          "",                        "[<SP> pathname]",                listing::list),
    row("NLST", Login, Maybe,    Always,          "",                        "[<SP> pathname]",                listing::nlst),
    row("MLSD", Login, Maybe,    Always,          "",                        "[<SP> pathname]",                listing::mlsd),
    row("MLST", Login, Maybe,    Always,          "MLST ",                   "[<SP> pathname]",                listing::mlst),
    row("STAT", Login, Maybe,    Always,          "",                        "[<SP> pathname]",                listing::stat),
    row("SIZE", Login, Argument, Always,          "SIZE",                    "<SP> pathname",                  facts::size),
    row("MDTM", Login, Argument, Always,          "MDTM",                    "[<SP> YYYYMMDDHHMMSS] <SP> pathname", facts::mdtm),
    row("MFMT", Write, Argument, Always,          "MFMT",                    "<SP> YYYYMMDDHHMMSS <SP> pathname", facts::mfmt),
    row("MFF",  Write, Argument, Always,          "MFF Modify;UNIX.mode;",   "<SP> fact=value; <SP> pathname", facts::mff),
    row("AVBL", Login, Maybe,    Always,          "AVBL",                    "[<SP> pathname]",                facts::avbl),
    row("SYST", Free,  Nothing,  Always,          "",                        "",                               about::syst),
    row("HELP", Free,  Maybe,    Always,          "",                        "[<SP> verb]",                    about::help),
    row("NOOP", Free,  Maybe,    Always,          "",                        "",                               about::noop),
    row("FEAT", Free,  Nothing,  Always,          "",                        "",                               about::feat),
    row("OPTS", Free,  Argument, Always,          "",                        "<SP> UTF8 [ON] | MLST [facts]",  about::opts),
    row("LANG", Free,  Maybe,    Always,          "LANG EN*",                "[<SP> EN]",                      about::lang),
    row("CLNT", Free,  Maybe,    Always,          "CLNT",                    "<SP> client-name",               about::clnt),
    row("SITE", Login, Argument, Always,          "",                        "<SP> HELP | CHMOD | UTIME | UMASK | IDLE", site::site),
];

/// Features that belong to no verb.
pub const FURTHER_FEATURES: [&str; 2] = ["TVFS", "UTF8"];

/// The names as numbers, in the order of the table: looking a verb up is one pass over a few cache lines.
static NAMES: [VerbName; VERBS.len()] = {
    let mut names = [VerbName::of(""); VERBS.len()];
    let mut index = 0;
    while index < VERBS.len() {
        #[allow(
            clippy::indexing_slicing,
            reason = "run by the compiler, which refuses a wrong index"
        )]
        {
            names[index] = VerbName::of(VERBS[index].name);
        }
        index += 1;
    }
    names
};

/// The row of a verb, if it is known.
pub fn find(name: VerbName) -> Option<&'static Verb> {
    let index = NAMES.iter().position(|known| *known == name)?;
    VERBS.get(index)
}

/// Whether a verb begins or ends a transfer, so that its reply is never held back for the next one, also where it is a
/// refusal.
pub fn is_about_data(name: VerbName) -> bool {
    const ABOUT_DATA: [VerbName; 8] = [
        VerbName::of("RETR"),
        VerbName::of("STOR"),
        VerbName::of("STOU"),
        VerbName::of("APPE"),
        VerbName::of("ABOR"),
        VerbName::of("LIST"),
        VerbName::of("NLST"),
        VerbName::of("MLSD"),
    ];
    ABOUT_DATA.contains(&name)
}

#[cfg(test)]
mod tests;
