#include "textflag.h"

DATA twos<>+0(SB)/8, $0x0202020202020202
DATA twos<>+8(SB)/8, $0x0202020202020202
GLOBL twos<>(SB), RODATA|NOPTR, $16
DATA spaces<>+0(SB)/8, $0x2020202020202020
DATA spaces<>+8(SB)/8, $0x2020202020202020
GLOBL spaces<>(SB), RODATA|NOPTR, $16
DATA slashes<>+0(SB)/8, $0x5c5c5c5c5c5c5c5c
DATA slashes<>+8(SB)/8, $0x5c5c5c5c5c5c5c5c
GLOBL slashes<>(SB), RODATA|NOPTR, $16

// MARK sets mask to the marks of the sixteen bytes at offset of the text, and adds these to X3. The control characters and the quote, and nothing
// else, are at most 0x20 after ^2.
#define MARK(offset, mask) \
	MOVOU offset(SI), X4; \
	POR X4, X3; \
	MOVO X4, X5; \
	PCMPEQB X2, X5; \
	PXOR X0, X4; \
	MOVO X1, X6; \
	PMINUB X4, X6; \
	PCMPEQB X4, X6; \
	POR X5, X6; \
	PMOVMSKB X6, mask

// func markBlocks(text string, marks []uint64) (ascii bool)
TEXT ·markBlocks(SB), NOSPLIT, $0-41
	MOVQ text_base+0(FP), SI
	MOVQ text_len+8(FP), CX
	MOVQ marks_base+16(FP), DI
	MOVOU twos<>(SB), X0
	MOVOU spaces<>(SB), X1
	MOVOU slashes<>(SB), X2
	PXOR X3, X3
	SHRQ $6, CX
	JEQ done

block:
	MARK(0, AX)
	MARK(16, BX)
	MARK(32, R8)
	MARK(48, R9)
	SHLQ $16, BX
	SHLQ $32, R8
	SHLQ $48, R9
	ORQ BX, AX
	ORQ R9, R8
	ORQ R8, AX
	MOVQ AX, (DI)
	ADDQ $64, SI
	ADDQ $8, DI
	DECQ CX
	JNE block

done:
	PMOVMSKB X3, AX // the highest bits
	TESTL AX, AX
	SETEQ ascii+40(FP)
	RET
