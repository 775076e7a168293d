//! The validity period of the TLS certificate, and when to warn the operator about it.

use pkcs8::der::{
    Error, Header, Reader, SliceReader, Tag, TagNumber,
    asn1::{GeneralizedTime, UtcTime},
};

use crate::{domain::Timestamp, schema::format_time};

/// Days before the expiry at which warnings begin. Certificates are renewed weeks before they
/// expire, so by then the renewal has failed.
pub(super) const EXPIRY_WARNING_DAYS: i64 = 14;

const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// The period in which a certificate is valid, including both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    from: Timestamp,
    until: Timestamp,
}

/// The status of a certificate at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CertificateStatus {
    Valid,
    /// The period has not begun. Clients refuse the certificate.
    NotYetValid,
    /// The certificate is valid and expires after this many whole days.
    Expiring {
        days: i64,
    },
    /// The period has ended. Clients refuse the certificate.
    Expired,
}

impl CertificateStatus {
    /// Whether the same warning applies to both. The warning is not repeated when only the number
    /// of days has changed.
    pub(super) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl Validity {
    /// Reads the period from a certificate in DER. None if it is not an X.509 certificate.
    ///
    /// Only the fields up to the period are read. Nothing but log lines depends on the result.
    pub(super) fn read(certificate: &[u8]) -> Option<Self> {
        read(certificate).ok()
    }

    /// The beginning of the period, as text (RFC 3339).
    pub(super) fn from(self) -> String {
        date(self.from)
    }

    /// The end of the period, as text (RFC 3339).
    pub(super) fn until(self) -> String {
        date(self.until)
    }

    pub(super) fn status(self, now: Timestamp) -> CertificateStatus {
        let days = (self.until.0 - now.0) / DAY_MICROS;
        if now < self.from {
            CertificateStatus::NotYetValid
        } else if now > self.until {
            CertificateStatus::Expired
        } else if days < EXPIRY_WARNING_DAYS {
            CertificateStatus::Expiring { days }
        } else {
            CertificateStatus::Valid
        }
    }
}

fn date(time: Timestamp) -> String {
    format_time(time).unwrap_or_default()
}

/// Reads down to `TBSCertificate`: version, serial number, signature, issuer, validity (RFC 5280,
/// section 4.1).
fn read(certificate: &[u8]) -> Result<Validity, Error> {
    let mut reader = SliceReader::new(certificate)?;
    enter(&mut reader)?;
    enter(&mut reader)?;
    if reader.peek_tag()?
        == (Tag::ContextSpecific {
            constructed: true,
            number: TagNumber::N0,
        })
    {
        reader.tlv_bytes()?;
    }
    for _ in ["serial number", "signature", "issuer"] {
        reader.tlv_bytes()?;
    }
    enter(&mut reader)?;
    Ok(Validity {
        from: time(&mut reader)?,
        until: time(&mut reader)?,
    })
}

/// Reads on inside a sequence. The bytes after the sequence are not read.
fn enter(reader: &mut SliceReader<'_>) -> Result<(), Error> {
    reader
        .decode::<Header>()?
        .tag
        .assert_eq(Tag::Sequence)
        .map(drop)
}

fn time(reader: &mut SliceReader<'_>) -> Result<Timestamp, Error> {
    let since_1970 = match reader.peek_tag()? {
        Tag::UtcTime => reader.decode::<UtcTime>()?.to_unix_duration(),
        _ => reader.decode::<GeneralizedTime>()?.to_unix_duration(),
    };
    Ok(Timestamp(
        i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    fn day((year, month, day): (i32, u8, u8)) -> Timestamp {
        Timestamp(date_time_ymd(year, month, day).unix_timestamp() * 1_000_000)
    }

    #[test]
    fn both_ends_are_read_in_both_formats() {
        // From 2050 on, years have four digits.
        for (from, until) in [
            ((2026, 1, 2), (2026, 3, 4)),
            ((2049, 12, 31), (2050, 1, 1)),
            ((2050, 1, 1), (4096, 1, 1)),
        ] {
            let read = Validity::read(&certificate(from, until));
            assert_eq!(
                read,
                Some(Validity {
                    from: day(from),
                    until: day(until)
                })
            );
        }
    }

    #[test]
    fn the_ends_are_shown_as_dates() {
        let validity = Validity {
            from: day((2026, 1, 2)),
            until: day((4096, 1, 1)),
        };
        assert_eq!(validity.from(), "2026-01-02T00:00:00Z");
        assert_eq!(validity.until(), "4096-01-01T00:00:00Z");
    }

    #[test]
    fn bytes_that_are_not_a_certificate_are_refused() {
        let whole = certificate((2026, 1, 2), (2026, 3, 4));
        let read = Validity::read(&whole);
        // Nothing after the period is read.
        let first = (0..whole.len())
            .find(|cut| Validity::read(&whole[..*cut]).is_some())
            .unwrap();
        assert!(
            (first..whole.len()).all(|cut| Validity::read(&whole[..cut]) == read),
            "{first} of {}",
            whole.len()
        );
        assert!(first > 60 && Validity::read(b"no certificate").is_none());
    }

    #[test]
    fn the_status_changes_at_the_ends_of_the_period() {
        let validity = Validity {
            from: Timestamp(0),
            until: Timestamp(100 * DAY_MICROS),
        };
        let warned_from = (100 - EXPIRY_WARNING_DAYS) * DAY_MICROS;
        for (now, status) in [
            (-1, CertificateStatus::NotYetValid),
            (0, CertificateStatus::Valid),
            (warned_from, CertificateStatus::Valid),
            (warned_from + 1, CertificateStatus::Expiring { days: 13 }),
            (100 * DAY_MICROS, CertificateStatus::Expiring { days: 0 }),
            (100 * DAY_MICROS + 1, CertificateStatus::Expired),
        ] {
            assert_eq!(validity.status(Timestamp(now)), status, "{now}");
        }
    }
}
