package parquetfile

import (
	"encoding/hex"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// column is a column of the schema.
type column struct {
	audiencesync.Column
	leaf int                                        // its index among the columns with values
	text func(parquet.Value) (text, problem string) // of a value that is not null
	json func(parquet.Value) (v event.Value, problem string)
}

// textOf returns the text of a value, which is empty for null, or why it has none.
func (c *column) textOf(v parquet.Value) (text, problem string) {
	if v.IsNull() {
		return "", ""
	}
	return c.text(v)
}

const (
	unfitBytes = "its values are bytes; write them as text, such as in hexadecimal digits"
	unfitFloat = "its values are not exact; write integers, decimals or text"
	unfitTime  = "it is a time; write it as text if it does identify users"
	unfitOther = "write it as text, or a part of it"
)

// columnOf returns a column of the schema with how its values are written as text.
func columnOf(c *parquet.Column) column {
	made := column{Column: audiencesync.Column{Name: c.Name(), Type: "nested"}}
	if !c.Leaf() || c.Repeated() {
		made.Bytes = true
		made.Unfit = "it is nested; write the value that identifies users as a column of its own"
		return made
	}
	t := c.Type()
	made.leaf, made.Type = c.Index(), strings.ToLower(t.String())
	var logical format.LogicalTypeValue
	if l := t.LogicalType(); l != nil {
		logical = l.Value
	}
	switch l := logical.(type) {
	case nil, *format.StringType, *format.EnumType:
		made.text, made.Unfit = plainText(t.Kind())
	case *format.IntType:
		made.text = integerText(t.Kind(), l.IsSigned)
	case *format.DecimalType:
		made.text = decimalText(t.Kind(), int(l.Scale))
		if l.Scale < 0 || l.Scale > maxScale {
			made.Unfit, made.text = unfitOther, nil
		}
	case *format.UUIDType:
		made.text = uuidText
	case *format.NullType:
		made.text = nullText
	case *format.DateType, *format.TimeType, *format.TimestampType:
		made.Unfit = unfitTime
	default:
		made.Unfit = unfitOther
	}
	made.json = jsonFor(t.Kind(), logical, made.text)
	made.Bytes = made.json == nil
	return made
}

// plainText returns how values without a number type are written.
func plainText(kind parquet.Kind) (text func(parquet.Value) (string, string), unfit string) {
	switch kind {
	case parquet.Int32, parquet.Int64:
		return integerText(kind, true), ""
	case parquet.ByteArray:
		return byteText, ""
	case parquet.Float, parquet.Double:
		return nil, unfitFloat
	case parquet.FixedLenByteArray:
		return nil, unfitBytes
	case parquet.Int96:
		return nil, unfitTime
	}
	return nil, unfitOther
}

// nullText is the text of a column whose values are all null.
func nullText(parquet.Value) (text, problem string) { return "", "" }

// byteText returns a text, which must be UTF-8.
func byteText(v parquet.Value) (text, problem string) {
	if !utf8.Valid(v.ByteArray()) {
		return "", "is not valid text in UTF-8"
	}
	return string(v.ByteArray()), ""
}

func integerText(kind parquet.Kind, signed bool) func(parquet.Value) (text, problem string) {
	return func(v parquet.Value) (text, problem string) {
		switch {
		case kind == parquet.Int32 && signed:
			return strconv.FormatInt(int64(v.Int32()), 10), ""
		case kind == parquet.Int32:
			return strconv.FormatUint(uint64(v.Uint32()), 10), ""
		case signed:
			return strconv.FormatInt(v.Int64(), 10), ""
		}
		return strconv.FormatUint(v.Uint64(), 10), ""
	}
}

// Limits of decimals.
const (
	maxScale        = 100
	maxDecimalBytes = 64
)

// decimalText writes decimals with all digits of their scale.
func decimalText(kind parquet.Kind, scale int) func(parquet.Value) (text, problem string) {
	return func(v parquet.Value) (text, problem string) {
		var n big.Int
		switch kind {
		case parquet.Int32:
			n.SetInt64(int64(v.Int32()))
		case parquet.Int64:
			n.SetInt64(v.Int64())
		default:
			b := v.ByteArray()
			if len(b) > maxDecimalBytes {
				return "", "is a decimal of more than " + strconv.Itoa(maxDecimalBytes) + " bytes"
			}
			setTwosComplement(&n, b)
		}
		return withPoint(&n, scale), ""
	}
}

// setTwosComplement sets n to a number whose first byte is the most significant one.
func setTwosComplement(n *big.Int, b []byte) {
	n.SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
}

// withPoint returns n divided by 10 to the power of scale.
func withPoint(n *big.Int, scale int) string {
	if scale == 0 {
		return n.String()
	}
	digits := new(big.Int).Abs(n).String()
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	sign := ""
	if n.Sign() < 0 {
		sign = "-"
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}

func uuidText(v parquet.Value) (text, problem string) {
	b := v.ByteArray()
	if len(b) != 16 {
		return "", "is not a UUID"
	}
	digits := hex.EncodeToString(b)
	return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:], ""
}
