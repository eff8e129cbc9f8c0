package fault

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// NetworkReason says why a host cannot be reached, for messages that name the address themselves; "" if the error does not say.
func NetworkReason(err error) string {
	var dns *net.DNSError
	var network net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("the host %s is not known", dns.Name)
	case errors.As(err, &dns):
		return fmt.Sprintf("the address of the host %s cannot be looked up", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused: nothing listens there"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no route to the host"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	}
	return tlsReason(err)
}

// ListenReason says why an address cannot be listened on.
func ListenReason(err error) string {
	var op *net.OpError
	address := "the address"
	if errors.As(err, &op) && op.Addr != nil {
		address = op.Addr.String()
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return address + " is already in use by another program"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "this machine does not have the address " + address
	case errors.Is(err, syscall.EACCES):
		return address + " is not allowed for the user of this process"
	}
	return cmp.Or(NetworkReason(err), err.Error())
}

// tlsReason is NetworkReason for errors of TLS.
func tlsReason(err error) string {
	var record tls.RecordHeaderError
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &record):
		return "it does not speak TLS: its URL may begin with http:// instead of https://"
	case errors.As(err, &host):
		return fmt.Sprintf("its certificate is not for the host %s", host.Host)
	case errors.As(err, &authority):
		return "its certificate is signed by an authority that this machine does not know"
	case errors.As(err, &invalid):
		return certificateReason(invalid)
	}
	return ""
}

// certificateReason says why a certificate is not valid.
func certificateReason(err x509.CertificateInvalidError) string {
	switch err.Reason {
	case x509.Expired:
		return "its certificate has expired, or is not valid yet by the clock of this machine"
	default:
		return "its certificate is not valid"
	}
}
