package com.edgebert.runtime.decode

import com.edgebert.runtime.Answer
import com.edgebert.runtime.Asked
import com.edgebert.runtime.Featurizer
import com.edgebert.runtime.Outputs

/**
 * What an utterance wants, and the words that say with what.
 *
 * @property intent what is wanted.
 * @property slots the words with their tags, and the slots as spans.
 */
public data class Understanding(public val intent: Classification, public val slots: Tagging) : Answer {
    /** Whether the intent is sure. */
    override val sure: Boolean get() = intent.sure

    override fun toJson(): Map<String, Any?> = linkedMapOf("intent" to intent.toJson(), "slots" to slots.toJson())

    /** The intent, its probability and the slots, with tabs between. */
    override fun summary(): String = "${intent.summary()}\t${slots.summary()}"
}

internal class IntentSlotsDecoder(context: Context) : Decoder {
    private val intents = ClassificationDecoder(context, "intent")
    private val slots = TokenClassificationDecoder(context, "slots")

    override fun decode(asked: Asked, outputs: List<Outputs>, featurizer: Featurizer): Understanding =
        Understanding(intents.decode(asked, outputs, featurizer), slots.decode(asked, outputs, featurizer))
}
