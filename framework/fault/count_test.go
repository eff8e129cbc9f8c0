package fault_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/fault"
)

func TestNumbersAreShownWithTheirNouns(t *testing.T) {
	assert.Equal(t, "0 events", fault.Count(0, "event"))
	assert.Equal(t, "1 event", fault.Count(int64(1), "event"))
	assert.Equal(t, "2 events", fault.Count(uint64(2), "event"))
	assert.Equal(t, "it is", fault.Plural(1, "it is", "they are"))
	assert.Equal(t, "they are", fault.Plural(0, "it is", "they are"))
}
