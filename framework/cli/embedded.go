package cli

// Programs run on systems without these files, such as containers made from nothing: they bring their own. Those of the system have
// precedence.
import (
	_ "time/tzdata" // the time zones

	_ "golang.org/x/crypto/x509roots/fallback" // the certificates of authorities
)
