import android.content.Context
import com.edgebert.runtime.EdgeBert
import com.edgebert.runtime.load

/** The README's example: compiled with the tests, so that it stays true. */
fun example(context: Context) {
    EdgeBert.load(context, "sentiment.edgebert").use { model ->
        println(model.classify("a gem of a film").label)
    }
}
