package request

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// signature signs the body with an HMAC in a header.
type signature struct {
	header, secret, algorithm, encoding, prefix *mapping.Mapping
}

var (
	algorithms    = []string{"sha1", "sha256", "sha512"}
	signEncodings = []string{"hex", "base64"}
)

func (c *compiler) compileSignature(v event.Value, place string) *signature {
	if v.Kind() == event.Absent {
		return nil
	}
	return &signature{
		header:    c.compileMapping(v.Get("header"), place+"/header"),
		secret:    c.compileMapping(v.Get("secret"), place+"/secret"),
		algorithm: c.compileChoice(v.Get("algorithm"), place+"/algorithm", "sha256", algorithms),
		encoding:  c.compileChoice(v.Get("encoding"), place+"/encoding", "hex", signEncodings),
		prefix:    c.compileMapping(v.Get("prefix"), place+"/prefix"),
	}
}

// signRequest signs a request that has a body. It does nothing if the secret is empty or the request already has the header.
func (s *signature) signRequest(b *Built, scope event.Value) error {
	if s == nil || b.Body == nil {
		return nil
	}
	var values [5]string
	for i, m := range []*mapping.Mapping{s.secret, s.header, s.algorithm, s.encoding, s.prefix} {
		var err error
		if values[i], err = resolveText(m, scope); err != nil {
			return err
		}
		if values[0] == "" {
			return nil
		}
	}
	secret, header, algorithm, encoding, prefix := values[0], values[1], values[2], values[3], values[4]
	switch {
	case !httpguts.ValidHeaderFieldName(header) || !httpguts.ValidHeaderFieldValue(prefix):
		return fault.Invalid("the signature cannot be sent in the header %q: the name or the prefix is not valid", header)
	case !slices.Contains(algorithms, algorithm):
		return fault.Invalid("a signature's algorithm should be %s, but is %q", strings.Join(algorithms, ", "), algorithm)
	case !slices.Contains(signEncodings, encoding):
		return fault.Invalid("a signature's encoding should be %s, but is %q", strings.Join(signEncodings, ", "), encoding)
	}
	if b.Header.Get(header) != "" {
		return nil
	}
	b.Header.Set(header, prefix+computeHMAC(algorithm, encoding, secret, b.Body))
	return nil
}

func computeHMAC(algorithm, encoding, secret string, body []byte) string {
	hashes := map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}
	mac := hmac.New(hashes[algorithm], []byte(secret))
	mac.Write(body)
	if encoding == "base64" {
		return base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return hex.EncodeToString(mac.Sum(nil))
}
