//! Which reply codes each verb may be answered with: RFC 959 section 5.4 ("strictly adhered to") and the RFCs that
//! came after it.

/// The codes that are legal for `verb`.
///
/// 421 is legal everywhere and stands in no row, like 500 (any line may be one the server does not take).
/// What a row holds beyond its RFC is set apart by `+` and has its reason in the comment.
pub fn legal(verb: &str) -> Vec<u16> {
    let known = ROWS
        .iter()
        .find(|(names, _)| names.split(' ').any(|name| name == verb));
    // An unknown verb is answered with 500; 502 and 504 are there for AUTH, PBSZ and PROT (RFC 2228).
    let codes = known.map_or("502 504", |(_, codes)| codes);
    let mut legal: Vec<u16> = codes
        .split_whitespace()
        .filter(|word| *word != "+")
        .map(|word| word.parse().unwrap())
        .collect();
    legal.extend([421, 500]);
    legal
}

/// Whether the command is done with after this code.
pub fn is_final(code: u16) -> bool {
    code >= 200
}

#[rustfmt::skip] // a table is read by columns
pub const ROWS: &[(&str, &str)] = &[
    // RFC 959 5.4, in its order
    ("(connection)",  "120 220"),
    ("USER",          "230 530 501 331 332"),
    ("PASS",          "230 202 530 501 503 332"),
    ("ACCT",          "230 202 530 501 503"),
    ("CWD XCWD",      "250 501 502 530 550"),
    ("CDUP XCUP",     "200 250 501 502 530 550"),                              // 250: "identical to CWD", 4.1.1
    ("SMNT",          "202 250 501 502 530 550"),
    ("REIN",          "120 220 502"),
    ("QUIT",          "221"),
    ("PORT",          "200 501 530 + 502 503"),                                // 502: --no-active; 503: after EPSV ALL
    ("PASV P@SW",     "227 501 502 530 + 425 503 522"),                        // 425: no port; 522: over IPv6
    ("MODE TYPE STRU","200 501 504 530"),
    ("ALLO",          "200 202 501 504 530 + 452 552"),
    ("REST",          "350 501 502 530 + 504"),                                // 504: not under TYPE A (RFC 3659 5.2)
    ("STOR",          "125 150 110 226 250 425 426 451 551 552 532 450 452 553 501 530 + 550 503 554"),
    ("STOU",          "125 150 110 226 250 425 426 451 551 552 532 450 452 553 501 530 + 550 503"),
    ("RETR",          "125 150 110 226 250 425 426 451 450 550 501 530 + 503 554"), // 554: REST beyond the end (RFC 3659 5.3)
    ("LIST NLST",     "125 150 226 250 425 426 451 450 501 502 530 + 550 503"),  // 550: absent, as every client expects
    ("APPE",          "125 150 110 226 250 425 426 451 551 552 532 450 550 452 553 501 502 530 + 503"),
    ("RNFR",          "350 450 550 501 502 530"),
    ("RNTO",          "250 532 553 501 502 503 530 + 550 450 452 552"),        // 550: read-only, or another file system
    ("DELE",          "250 450 550 501 502 530"),
    ("RMD XRMD",      "250 501 502 530 550"),
    ("MKD XMKD",      "257 501 502 530 550 + 452 552"),
    ("PWD XPWD",      "257 501 502 550 + 530"),                                // 530: before the log-in
    ("ABOR",          "225 226 501 502 + 530"),
    ("SYST",          "215 501 502"),
    ("STAT",          "211 212 213 450 501 502 530 + 550"),
    ("HELP",          "211 214 501 502 + 504"),
    ("SITE",          "200 202 501 530 + 211 214 502 504 550 213"),
    ("NOOP",          "200"),
    // RFC 2389
    ("FEAT",          "211 502 + 501"),
    ("OPTS",          "200 451 501 + 502 504 530"),
    // RFC 2428
    ("EPRT",          "200 501 522 + 502 503 530"),
    ("EPSV",          "229 200 501 522 + 425 502 503 530"),
    ("LPRT LPSV",     "502 + 503 530"),
    // RFC 2640
    ("LANG",          "200 501 502 504 + 530"),
    // RFC 3659
    ("SIZE MDTM",     "213 501 502 550 530 + 553"),
    ("MLST",          "250 501 502 504 550 530 + 451"),
    ("MLSD",          "125 150 226 250 425 426 451 450 501 502 504 550 530 + 503"),
    // RFC 7151
    ("HOST",          "220 501 502 503 504 530"),
    // drafts that clients rely on: draft-somers-ftp-mfxx, draft-peterson-streamlined-ftp
    ("MFMT",          "213 501 502 504 550 530"),
    ("MFF",           "213 501 502 504 550 530"),
    ("CLNT",          "200 501 502 530"),
    ("AVBL",          "213 501 502 550 530 + 451"),
];
