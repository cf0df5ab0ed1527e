//! Tar streams: apply and diff with whiteouts, safe against hostile archives.
