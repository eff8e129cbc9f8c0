package admin

import "net/http"

// partsWriter writes a response whose parts are sent as they are made.
type partsWriter struct {
	http.ResponseWriter
	hasBegun bool
}

func (w *partsWriter) Write(part []byte) (int, error) {
	w.hasBegun = true
	return w.ResponseWriter.Write(part)
}

// fail responds with an error. If parts were sent, it breaks the response off, so that it does not look complete.
func (w *partsWriter) fail(err error) {
	if w.hasBegun {
		panic(http.ErrAbortHandler)
	}
	writeError(w.ResponseWriter, statusOf(err), err)
}
