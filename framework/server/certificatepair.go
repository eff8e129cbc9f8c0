package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
)

// readPair reads a certificate with the authorities' certificates after it, and its key. The error says which file is wrong, and how.
func (c *certificate) readPair(cert, key []byte) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err == nil {
		return pair, nil
	}
	in, beside := pemTypes(cert), pemTypes(key)
	isCertificate, hasKey := slices.Contains(in, certificateType), slices.ContainsFunc(beside, isPrivateKey)
	switch {
	case !isCertificate && slices.ContainsFunc(in, isPrivateKey) && slices.Contains(beside, certificateType):
		return pair, fmt.Errorf("tls.cert and tls.key are exchanged: %s contains the key, and %s the certificate", c.certFile, c.keyFile)
	case !isCertificate:
		return pair, fmt.Errorf("%s has no certificate in PEM form, which begins with -----BEGIN CERTIFICATE-----", c.certFile)
	case slices.Contains(beside, "ENCRYPTED PRIVATE KEY"):
		return pair, fmt.Errorf("the key in %s is encrypted: write it without a passphrase, as with openssl pkey -in %[1]s -out new.key", c.keyFile)
	case !hasKey:
		return pair, fmt.Errorf("%s has no private key in PEM form, which begins with -----BEGIN PRIVATE KEY-----", c.keyFile)
	}
	block := firstBlock(cert, certificateType)
	if _, err := x509.ParseCertificate(block); err != nil {
		return pair, fmt.Errorf("the certificate in %s is damaged: request it again from its authority", c.certFile)
	}
	return pair, fmt.Errorf("the key in %s is damaged, or is not that of the first certificate in %s", c.keyFile, c.certFile)
}

const certificateType = "CERTIFICATE"

func isPrivateKey(kind string) bool {
	return kind == "PRIVATE KEY" || strings.HasSuffix(kind, " PRIVATE KEY") && !strings.HasPrefix(kind, "ENCRYPTED")
}

// pemTypes returns the types of the blocks in a PEM file.
func pemTypes(text []byte) (types []string) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		types = append(types, block.Type)
	}
	return types
}

// firstBlock returns the content of the first block with a type.
func firstBlock(text []byte, kind string) []byte {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == kind {
			return block.Bytes
		}
	}
	return nil
}

// CheckCertificate says what is wrong with the files of tls in a config, or "".
func CheckCertificate(certFile, keyFile string) string {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	if _, err := c.load(); err != nil {
		return err.Error()
	}
	return ""
}
