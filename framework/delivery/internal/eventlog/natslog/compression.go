package natslog

import (
	"bytes"
	"sync"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/compressed"
)

// compressedMark begins the data of a message that is compressed; the compressed form of its data follows. Like all messages without headers, it
// begins with a brace (see logfiles), but no JSON has its second byte. The last two bytes name the format.
const compressedMark = "{\xffs2"

// compressor has the buffers in which the data of messages is compressed.
type compressor struct{ buffers sync.Pool }

// stored returns the data to store for a message: compressed, if that saves an eighth. Data that is too large for a message stays so.
func (c *compressor) stored(w *eventlog.Write) []byte {
	marked := bytes.HasPrefix(w.Data, []byte(compressedMark)) // it would be taken for compressed data
	if !marked && !w.Compress || len(w.Data) > maxPayload {
		return w.Data
	}
	buffer, _ := c.buffers.Get().(*[]byte)
	if buffer == nil {
		buffer = new([]byte)
	}
	defer c.buffers.Put(buffer)
	*buffer = compressed.Append(append((*buffer)[:0], compressedMark...), w.Data)
	if !marked && len(*buffer) > len(w.Data)/8*7 {
		return w.Data
	}
	return bytes.Clone(*buffer)
}

// originalData returns the data of a message from what is stored, in buffer if that is large enough, and whether it was compressed. What cannot be
// decompressed stays as it is: then its reader finds no event in it.
func originalData(buffer, stored []byte) (data []byte, wasCompressed bool) {
	block, ok := bytes.CutPrefix(stored, []byte(compressedMark))
	if !ok {
		return stored, false
	}
	data, err := compressed.Text(buffer, block, maxPayload)
	if err != nil {
		return stored, false
	}
	return data, true
}

// dataRewriter rewrites the data of messages as it is stored.
type dataRewriter struct {
	rewrite func(stream, subject string, data []byte) []byte
	buffer  []byte
	noSpace bool // something could not be replaced
}

// rewriteStored is rewrite for what is stored.
func (r *dataRewriter) rewriteStored(stream, subject string, stored []byte) []byte {
	data, wasCompressed := originalData(r.buffer, stored)
	if !wasCompressed {
		return r.rewrite(stream, subject, data)
	}
	r.buffer = data
	made := r.rewrite(stream, subject, data)
	if made == nil {
		return nil
	}
	block := compressed.Fit(len(stored)-len(compressedMark), made)
	if block == nil {
		r.noSpace = true
		return nil
	}
	return append([]byte(compressedMark), block...)
}
