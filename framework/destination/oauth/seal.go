package oauth

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"

	"golang.org/x/crypto/nacl/secretbox"
)

// nonceSize is the size of a secretbox nonce.
const nonceSize = 24

// ErrSealed is returned for a sealed text that is damaged, belongs to another name, or was sealed with another key.
var ErrSealed = errors.New("it cannot be decrypted with the key in state.key")

// sealedText is the sealed part of SealText. Name prevents a text from being used under another name.
type sealedText struct{ Name, Text string }

// SealText encrypts a text, such as a secret of the config, under a name.
func (b *Box) SealText(name, text string) (string, error) {
	plain, err := json.Marshal(sealedText{name, text})
	if err != nil {
		return "", err
	}
	return b.seal(plain), nil
}

// OpenText decrypts a text that SealText encrypted under the same name. The error is ErrSealed.
func (b *Box) OpenText(name, sealed string) (string, error) {
	plain, ok := b.open(sealed)
	var t sealedText
	if !ok || json.Unmarshal(plain, &t) != nil || t.Name != name {
		return "", ErrSealed
	}
	return t.Text, nil
}

// seal encrypts plain with a new nonce, which the result begins with.
func (b *Box) seal(plain []byte) string {
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return base64.StdEncoding.EncodeToString(secretbox.Seal(nonce[:], plain, &nonce, &b.key))
}

// open decrypts the result of seal.
func (b *Box) open(text string) (plain []byte, ok bool) {
	var nonce [nonceSize]byte
	sealed, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(sealed) < len(nonce) {
		return nil, false
	}
	copy(nonce[:], sealed)
	return secretbox.Open(nil, sealed[len(nonce):], &nonce, &b.key)
}
