package fault

import (
	"context"
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
	return ""
}
